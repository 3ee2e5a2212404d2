"""The editing pipelines of diffusers at random weights: the real classes, a few thousand parameters each.

Nothing is downloaded: tokenizers are made here, of single bytes or letters and the special tokens that a class looks
for, and every network is sized so that one step takes milliseconds.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinKVPipeline,
    Flux2KleinPipeline,
    Flux2Pipeline,
    Flux2Transformer2DModel,
    FluxKontextPipeline,
    FluxTransformer2DModel,
    LEditsPPPipelineStableDiffusion,
    LEditsPPPipelineStableDiffusionXL,
    LongCatImageEditPipeline,
    LongCatImageTransformer2DModel,
    OmniGenPipeline,
    OmniGenTransformer2DModel,
    QwenImageEditPipeline,
    QwenImageEditPlusPipeline,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionXLInstructPix2PixPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    LlamaTokenizer,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    PixtralImageProcessor,
    PixtralProcessor,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

from evalkit.encoders.miniature import DIRECTORY as MINIATURE_CLIP
from tests.support.diffusion import SD_DOWN, SD_UP, scheduler

WIDTH = 32
"""Of the text encoders."""
LETTERS = [chr(code) for code in range(32, 127)]
CHAT = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
MISTRAL_CHAT = (
    "<s>{% for m in messages %}[{{ m.role }}]{% for part in m.content %}{{ part.text }}{% endfor %}{% endfor %}"
)


# Texts


def clip(kind: type[Any] = CLIPTextModel) -> tuple[CLIPTokenizer, Any]:
    """A CLIP tokenizer and text encoder."""
    tokenizer = CLIPTokenizer.from_pretrained(MINIATURE_CLIP)
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=WIDTH,
        max_position_embeddings=48,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return tokenizer, kind(config)


def t5() -> tuple[T5Tokenizer, T5EncoderModel]:
    """A T5 tokenizer of single letters, and its encoder."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((letter, -1.0) for letter in ["▁", *LETTERS[1:]])]
    tokenizer = T5Tokenizer(vocab=pieces, extra_ids=0)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=WIDTH, d_kv=8, d_ff=37, num_layers=2, num_heads=2, dropout_rate=0.0
    )
    return tokenizer, T5EncoderModel(config)


def qwen_tokenizer() -> Qwen2Tokenizer:
    """Qwen's byte-level tokenizer without a merge, and the special tokens of its chats and pictures."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>"]
    special += ["<|image_pad|>", "<|video_pad|>"]
    letters = sorted(ByteLevel.alphabet())
    tokenizer = Qwen2Tokenizer(
        vocab={token: index for index, token in enumerate([*letters, *special])},
        merges=[],
        extra_special_tokens=special[1:],
    )
    tokenizer.chat_template = CHAT
    return tokenizer


def qwen_vision() -> tuple[Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer, Qwen2VLProcessor]:
    """Qwen2.5-VL: the model, its tokenizer and its processor, which looks at pictures of at most 56² pixels."""
    tokenizer = qwen_tokenizer()
    number = tokenizer.convert_tokens_to_ids
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2]},
            "bos_token_id": 0,
            "eos_token_id": number("<|endoftext|>"),
        },
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 16,
            "fullatt_block_indexes": [1],
        },
        image_token_id=number("<|image_pad|>"),
        video_token_id=number("<|video_pad|>"),
        vision_start_token_id=number("<|vision_start|>"),
        vision_end_token_id=number("<|vision_end|>"),
    )
    pictures = Qwen2VLImageProcessor(size={"shortest_edge": 28 * 28, "longest_edge": 56 * 56})
    processor = Qwen2VLProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=CHAT,
    )
    return Qwen2_5_VLForConditionalGeneration(config), tokenizer, processor


# Pictures


def autoencoder(halvings: int = 1, latent_channels: int = 4, **changes: Any) -> AutoencoderKL:
    """A narrow autoencoder."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * (halvings + 1),
        up_block_types=("UpDecoderBlock2D",) * (halvings + 1),
        block_out_channels=(8,) * (halvings + 1),
        latent_channels=latent_channels,
        norm_num_groups=2,
        sample_size=1024,
        **changes,
    )


def flux2_autoencoder() -> AutoencoderKLFlux2:
    """FLUX.2's, which halves once."""
    return AutoencoderKLFlux2(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(4, 4),
        layers_per_block=1,
        latent_channels=1,
        norm_num_groups=1,
    )


def qwen_autoencoder() -> AutoencoderKLQwenImage:
    """Qwen's autoencoder of pictures as one-frame films."""
    return AutoencoderKLQwenImage(
        base_dim=12,
        z_dim=4,
        dim_mult=[1, 2, 2, 2],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    )


def unet(*, in_channels: int, xl: bool) -> UNet2DConditionModel:
    """A UNet with attention at three sizes; Stable Diffusion XL's is also told the picture's."""
    larger = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 6 * 8 + WIDTH,
        "use_linear_projection": True,
    }
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=in_channels,
        out_channels=4,
        down_block_types=SD_DOWN,
        up_block_types=SD_UP,
        block_out_channels=(16, 32, 32, 32),
        layers_per_block=1,
        cross_attention_dim=WIDTH * (2 if xl else 1),
        attention_head_dim=2,
        norm_num_groups=8,
        **(larger if xl else {}),
    )


# Pipelines


def stable_diffusion(kind: type[Any], in_channels: int) -> Any:
    """A pipeline on Stable Diffusion 1."""
    tokenizer, text_encoder = clip()
    return kind(
        vae=autoencoder(3),
        unet=unet(in_channels=in_channels, xl=False),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_xl(kind: type[Any], in_channels: int) -> Any:
    """A pipeline on Stable Diffusion XL."""
    tokenizer, text_encoder = clip()
    tokenizer_2, text_encoder_2 = clip(CLIPTextModelWithProjection)
    return kind(
        vae=autoencoder(3),
        unet=unet(in_channels=in_channels, xl=True),
        text_encoder=text_encoder,
        text_encoder_2=text_encoder_2,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer_2,
        scheduler=scheduler(),
        add_watermarker=False,
    )


def flux_kontext() -> Any:
    """FLUX.1 Kontext."""
    tokenizer, text_encoder = clip()
    tokenizer_2, text_encoder_2 = t5()
    return FluxKontextPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(3, 1, shift_factor=0.06, scaling_factor=1.5),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        text_encoder_2=text_encoder_2,
        tokenizer_2=tokenizer_2,
        transformer=FluxTransformer2DModel(
            in_channels=4,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=WIDTH,
            pooled_projection_dim=WIDTH,
            axes_dims_rope=(4, 4, 8),
            guidance_embeds=True,
        ),
    )


def flux2_transformer(guidance_embeds: bool) -> Flux2Transformer2DModel:
    """FLUX.2's transformer; it reads three layers of the text encoder side by side."""
    return Flux2Transformer2DModel(
        in_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=3 * 16,
        timestep_guidance_channels=256,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=guidance_embeds,
    )


TINY_ATTENTION = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}


def flux2() -> Any:
    """FLUX.2 [dev], whose text encoder's layers 10, 20 and 30 are read."""
    special = ["<unk>", "<s>", "</s>", "<pad>", "[IMG]", "[IMG_BREAK]", "[IMG_END]"]
    vocabulary = {token: index for index, token in enumerate([*special, *sorted(ByteLevel.alphabet())])}
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary,
        merges=[],
        unk_token="<unk>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=special[4:],
    )
    vision = {"model_type": "pixtral", "num_hidden_layers": 1, "image_size": 28, "patch_size": 14}
    config = Mistral3Config(
        text_config={
            **TINY_ATTENTION,
            "model_type": "mistral",
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 512,
            "num_hidden_layers": 30,
            "num_key_value_heads": 2,
            "head_dim": 8,
        },
        vision_config={**TINY_ATTENTION, **vision},
        image_token_index=4,
    )
    return Flux2Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=flux2_autoencoder(),
        text_encoder=Mistral3ForConditionalGeneration(config),
        tokenizer=PixtralProcessor(PixtralImageProcessor(), tokenizer, chat_template=MISTRAL_CHAT),
        transformer=flux2_transformer(guidance_embeds=True),
    )


def flux2_klein(kind: type[Any] = Flux2KleinPipeline, is_distilled: bool = True) -> Any:
    """FLUX.2 [klein], whose text encoder's layers 9, 18 and 27 are read."""
    tokenizer = qwen_tokenizer()
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=27,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=512,
    )
    return kind(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=flux2_autoencoder(),
        text_encoder=Qwen3ForCausalLM(config),
        tokenizer=tokenizer,
        transformer=flux2_transformer(guidance_embeds=False),
        is_distilled=is_distilled,
    )


def qwen_image_edit(kind: type[Any] = QwenImageEditPipeline) -> Any:
    """Qwen-Image-Edit."""
    text_encoder, tokenizer, processor = qwen_vision()
    return kind(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=qwen_autoencoder(),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        processor=processor,
        transformer=QwenImageTransformer2DModel(
            in_channels=16,
            out_channels=4,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            axes_dims_rope=(8, 4, 4),
        ),
    )


def qwen_image() -> Any:
    """Qwen-Image, which draws from text."""
    parts = qwen_image_edit().components
    del parts["processor"]
    return QwenImagePipeline(**parts)


def longcat_image_edit() -> Any:
    """LongCat-Image-Edit, whose latents are of 16 channels whatever the autoencoder says."""
    text_encoder, tokenizer, processor = qwen_vision()
    return LongCatImageEditPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(3, 16, shift_factor=0.06, scaling_factor=1.5),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        text_processor=processor,
        transformer=LongCatImageTransformer2DModel(
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            pooled_projection_dim=16,
            axes_dims_rope=[4, 4, 8],
        ),
    )


def omnigen() -> Any:
    """OmniGen, which has no text encoder."""
    special = ["<unk>", "<s>", "</s>"]
    tokenizer = LlamaTokenizer(
        vocab={token: index for index, token in enumerate([*special, "▁", "\n", *LETTERS[1:]])}, merges=[]
    )
    tokenizer.add_special_tokens({"pad_token": "</s>"})
    return OmniGenPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(invert_sigmas=True, num_train_timesteps=1),
        vae=autoencoder(3),
        tokenizer=tokenizer,
        transformer=OmniGenTransformer2DModel(
            hidden_size=16,
            num_attention_heads=4,
            num_key_value_heads=4,
            intermediate_size=32,
            num_layers=1,
            vocab_size=len(tokenizer),
            pad_token_id=2,
            pos_embed_max_size=64,
            max_position_embeddings=4096,
            time_step_dim=16,
            rope_scaling={"long_factor": [1, 2], "short_factor": [1, 2]},
        ),
    )


TINY: dict[str, Callable[[], Any]] = {
    "image_to_image": lambda: stable_diffusion_xl(StableDiffusionXLPipeline, 4),
    "instruct_pix2pix": lambda: stable_diffusion(StableDiffusionInstructPix2PixPipeline, 8),
    "instruct_pix2pix_xl": lambda: stable_diffusion_xl(StableDiffusionXLInstructPix2PixPipeline, 8),
    "leditspp": lambda: stable_diffusion(LEditsPPPipelineStableDiffusion, 4),
    "leditspp_xl": lambda: stable_diffusion_xl(LEditsPPPipelineStableDiffusionXL, 4),
    "flux_kontext": flux_kontext,
    "flux2": flux2,
    "flux2_klein": flux2_klein,
    "flux2_klein_kv": lambda: flux2_klein(Flux2KleinKVPipeline),
    "qwen_image_edit": qwen_image_edit,
    "qwen_image_edit_plus": lambda: qwen_image_edit(QwenImageEditPlusPipeline),
    "longcat_image_edit": longcat_image_edit,
    "omnigen": omnigen,
}
"""By the name of the method that runs it."""


def save_tiny_pipeline(name: str, directory: Path) -> Path:
    """A method's pipeline as a directory that ``--model`` takes; the same weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        TINY[name]().save_pretrained(directory)
    return directory
