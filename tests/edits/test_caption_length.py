"""Without a tokenizer the length of a caption is estimated, in any script."""

import pytest

from evalkit.edits.caption_length import LONGEST, estimated_tokens

CAPTIONS = {
    "english": "A photo of a small brown dog sitting on a wooden bench in the park, next to a red bicycle.",
    "long words": "An extraordinarily detailed photorealistic reconstruction of neoclassical architecture",
    "signs": "it's 1234567890 dollars!!! (a b c) -- don't",
    "chinese": "一个红色的圆和一个蓝色的方块，小狗坐在公园的长椅上",
    "japanese": "公園のベンチに座っている小さな茶色の犬と赤い自転車",
    "korean": "공원 벤치에 앉아 있는 작은 갈색 개와 빨간 자전거",
    "thai": "สุนัขสีน้ำตาลตัวเล็กนั่งอยู่บนม้านั่งไม้ในสวนสาธารณะข้างจักรยานสีแดง",
    "russian": "Маленькая коричневая собака сидит на деревянной скамейке в парке",
    "arabic": "كلب بني صغير يجلس على مقعد خشبي في الحديقة بجانب دراجة حمراء",
    "hindi": "पार्क में लकड़ी की बेंच पर बैठा एक छोटा भूरा कुत्ता",
    "greek": "Ένας μικρός καφέ σκύλος κάθεται σε ένα ξύλινο παγκάκι στο πάρκο",
    "german": "Ein kleiner brauner Hund sitzt auf einer hölzernen Parkbank neben einem roten Fahrrad",
    "vietnamese": "Một chú chó nhỏ màu nâu ngồi trên băng ghế gỗ trong công viên",
    "emoji": "🐶🚲🌳😀🎨🖌️👩‍👩‍👧‍👦🇫🇷",
}


@pytest.mark.parametrize("caption", CAPTIONS.values(), ids=CAPTIONS)
def test_the_estimate_is_right_within_a_factor_of_two(caption):
    """Of what CLIP's tokenizer counts, in scripts with and without blanks."""
    from open_clip import SimpleTokenizer

    true = len(SimpleTokenizer().encode(caption)) + 2
    assert true / 2 <= estimated_tokens(caption) <= true * 2


def test_a_caption_grows_by_what_is_added():
    """Captions of one script need not have blanks to be long, and blanks alone are nothing."""
    assert estimated_tokens("") == estimated_tokens(" \n\t　") == 2
    assert estimated_tokens("圆" * 38) > LONGEST >= estimated_tokens("圆" * 37)
    assert estimated_tokens("ก" * 76) > LONGEST >= estimated_tokens("ก" * 75)
    assert estimated_tokens("cat " * 76) > LONGEST >= estimated_tokens("cat " * 75)
