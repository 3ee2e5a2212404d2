"""Which way other tools' metrics are better, as far as their names say it."""

import re

_DISTANCES = """
    l1 l2 mse rmse mae mape nmse sse lpips dists dreamsim gmsd deltae ciede fid kid fvd cmmd niqe ilniqe piqe brisque
"""
"""Names of metrics that are nothing else."""
_LESS = """
    lp epe wer cer ece nll bpp perplexity ppl error errors err distance distances dist loss divergence kl emd chamfer
    hausdorff wasserstein deviation artifact artifacts distortion leakage bias toxicity failure failures fail
    failed drop degradation gap regret violation violations mismatch mismatches inconsistency drift hallucination
    hallucinations time times latency runtime duration seconds secs sec cost memory vram flops macs rank
"""
_MORE = """
    psnr ssim msssim fsim vif uqi clip clipscore cliptext clipdir clipiqa siglip blip dino dinov similarity
    similarities sim cosine accuracy acc precision recall specificity iou miou giou dice jaccard auc auroc auprc map
    ndcg
    success successes successful correct correctness right match matches hit hits pass passed quality rating ratings
    grade overall average preference preferences preferred win wins won winrate consistency coherence alignment
    aligned fidelity faithfulness preservation preserved realism naturalness compliance adherence following harmony
    seamlessness aesthetic aesthetics beauty sharpness detail details imagereward reward pickscore pick hps hpsv vqa
    vqascore tifa dsg viescore
    nima musiq maniqa topiq qalign mos elo align correlation spearman pearson kendall agreement
    votes vote likes thumbs yes answer answers verdict decision
    instruction instructions integrity plausibility relevance completeness
    sc pq semantic semantics sementics perceptual judgement judgment diversity
"""
_GLUED = ("lpips", "psnr", "ssim", "rmse", "niqe", "brisque", "dreamsim")
"""Metrics whose names are part of no other word."""
_EITHER = "score scores value values points rate"
"""Of which more is better, unless another word of the name says what of."""
_NEGATED = "neg negative negated inv inverse inverted minus one"
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_PART = re.compile(r"(?<![A-Za-z])[lL][12](?![0-9])|[A-Za-z]+")
_SAID = {
    "lower is better": False,
    "less is better": False,
    "smaller is better": False,
    "higher is better": True,
    "more is better": True,
    "larger is better": True,
}
_DIRECTIONS = {
    **dict.fromkeys((*_DISTANCES.split(), *_LESS.split()), False),
    **dict.fromkeys(_MORE.split(), True),
}


def higher_is_better(name: str) -> bool | None:
    """Whether more is better, by a metric's name; None where that says nothing.

    A name is split at every sign that is no letter and at capitals, and the last word that is known decides: what is
    measured stands at the end of ``clip_distance`` and of ``l1_similarity``.

    >>> [higher_is_better(name) for name in ("lpips-vgg", "StructureDistance", "L1 similarity", "lpips_score")]
    [False, False, True, False]
    >>> higher_is_better("PSNR (dB)"), higher_is_better("score"), higher_is_better("charm"), higher_is_better("FID ↓")
    (True, True, None, False)
    >>> higher_is_better("1 - lpips"), higher_is_better("negative_mse")
    (None, None)
    """
    if ("↓" in name) != ("↑" in name):
        return "↑" in name
    plain = " ".join(re.sub(r"[\W_]+", " ", name.lower()).split())
    if said := [more for words, more in _SAID.items() if words in plain]:
        return said[0]
    words = words_of(name)
    if re.match(r"\s*(1\s*)?[-−]", name) or any(word in _NEGATED.split() for word in words):
        return None
    known = [_DIRECTIONS[word] for each in words if (word := _known_word(each))]
    if known:
        return known[-1]
    return True if any(word in _EITHER.split() or word.endswith("score") for word in words) else None


def _known_word(word: str) -> str | None:
    """The word itself if it is known, or a well-known metric that it begins or ends with, as ``bgpsnr`` does."""
    if word in _DIRECTIONS:
        return word
    return next((known for known in _GLUED if word.startswith(known) or word.endswith(known)), None)


def distance_in(name: str) -> str | None:
    """The metric of which less is better that a name holds, as ``lpips`` in ``lpips_ours``; None if it holds none."""
    return next((word for word in words_of(name) if word in _DISTANCES.split()), None)


def words_of(name: str) -> list[str]:
    """The words of a name in lower case: split at capitals and at every sign that is no letter; L1 and L2 are words.

    >>> words_of("bg_lpips1"), words_of("meanL1"), words_of("LPIPSAlex"), words_of("CLIPScore")
    (['bg', 'lpips'], ['mean', 'l1'], ['lpips', 'alex'], ['clipscore'])
    """
    words: list[str] = []
    for part in _PART.findall(re.sub(r"(?<=[a-z])(?=L[12](?![0-9]))", " ", name)):
        whole = part.lower()
        words += [whole] if whole in _DIRECTIONS else [word.lower() for word in _WORD.findall(part)]
    return words
