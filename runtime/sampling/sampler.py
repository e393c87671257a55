"""One step of mask-predict sampling as pure functions: the noise is an argument, and only masked rows are looked at.

Arrays are those of one picture: M masked rows of a grid of N tokens, V codes.
"""

import numpy as np

from amused_edge.runtime.arrays import BoolArray, FloatArray, IntArray

_TINY = np.float32(1e-20)
"""Smallest probability and smallest argument of a logarithm, as in the reference."""

_FAR = np.float32(-100)
"""A logit so far below the largest has no probability in float32."""

_COLD = np.float32(1e-6)
"""Temperatures below count as 0."""


def gumbel(uniforms: FloatArray) -> FloatArray:
    """Turn uniforms in [0, 1) into standard Gumbel noise of the same shape: `-log(-log(u))`, arguments kept above
    1e-20.
    """
    noise = np.maximum(uniforms, _TINY)
    np.log(noise, out=noise)
    np.negative(noise, out=noise)
    np.maximum(noise, _TINY, out=noise)
    np.log(noise, out=noise)
    return np.negative(noise, out=noise)


def guide(unconditional: FloatArray, conditional: FloatArray, scale: float) -> FloatArray:
    """Return classifier-free guided logits, `u + scale * (c - u)`, all (M, V) float32."""
    guided = conditional - unconditional
    guided *= np.float32(scale)
    guided += unconditional
    return guided


def draw_tokens(logits: FloatArray, uniforms: FloatArray) -> IntArray:
    """Draw one code per row from softmax(logits) by Gumbel-max.

    Parameters
    ----------
    logits
        (M, V) float32.
    uniforms
        (M, V) float32 in [0, 1): the noise.

    Returns
    -------
    (M,) int64 codes in [0, V); the lowest code wins a tie.

    Notes
    -----
    `argmax(logits + gumbel)` has the softmax distribution (Gumbel 1954; Maddison et al., "A* Sampling", NeurIPS 2014).
    Under small errors of the logits nearly all draws stay the same, unlike draws by inverse CDF.
    """
    noisy = gumbel(uniforms)
    noisy += logits
    drawn: IntArray = np.argmax(noisy, axis=1)
    return drawn


def log_probabilities(logits: FloatArray, tokens: IntArray) -> FloatArray:
    """Return log softmax(logits) at the drawn codes: (M, V), (M,) -> (M,) float32, not below log(1e-20)."""
    peak = logits.max(axis=1, keepdims=True)
    shifted = logits - peak
    chosen = np.take_along_axis(shifted, tokens[:, None], axis=1)[:, 0]
    np.exp(shifted, out=shifted)
    result: FloatArray = chosen - np.log(shifted.sum(axis=1))
    return np.maximum(result, np.log(_TINY), out=result)


def sharpened(logits: FloatArray, temperature: np.float32) -> FloatArray:
    """Return logits (M, V) of `p^(1 + 1 / temperature)`, not normalised, where p is softmax(logits); of a temperature
    of 0 the most likely code alone is left.

    Choosing positions by the noisy log-probabilities of tokens drawn before, as `confidences` does, prefers tokens as
    if they had been drawn from this distribution, as long as few of many positions are chosen (Hayakawa et al.,
    "Demystifying MaskGIT Sampler and Beyond", arXiv 2510.04525).
    """
    shifted: FloatArray = logits - logits.max(axis=1, keepdims=True)
    if temperature < _COLD:
        likeliest: FloatArray = np.where(shifted == 0, shifted, np.float32(-np.inf))
        return likeliest
    shifted *= np.float32(1) + np.float32(1) / temperature
    return shifted


def log_moments(logits: FloatArray, temperature: np.float32) -> FloatArray:
    """Return how sure the model is of a position, whatever code is drawn there: `T log sum p^(1 + 1 / T)`, (M, V) ->
    (M,) float32, not below log(1e-20); of T = 0 the largest log-probability. Source as of `sharpened`.
    """
    shifted = logits - logits.max(axis=1, keepdims=True)
    likeliest = -np.log(np.exp(shifted).sum(axis=1))
    result: FloatArray = likeliest
    if temperature >= _COLD:
        shifted *= np.float32(1) + np.float32(1) / temperature
        result = (np.float32(1) + temperature) * likeliest + temperature * np.log(np.exp(shifted).sum(axis=1))
    return np.maximum(result, np.log(_TINY), out=result)


def entropies(logits: FloatArray) -> FloatArray:
    """Return the entropy of softmax(logits) in nats: (M, V) -> (M,) float32, 0 or more.

    `log(sum exp(x)) - sum(x exp(x)) / sum(exp(x))` with `x = logits - max`.
    """
    shifted = np.maximum(logits - logits.max(axis=1, keepdims=True), _FAR)
    weights = np.exp(shifted)
    total = weights.sum(axis=1)
    shifted *= weights
    result: FloatArray = np.log(total) - shifted.sum(axis=1) / total
    return np.maximum(result, np.float32(0), out=result)


def within_entropy(confidence: FloatArray, entropy: FloatArray, bound: float) -> int:
    """Return how many of the most confident tokens may be kept together, one or more.

    Parameters
    ----------
    confidence
        (M,): of two that are equal, the later one stays first, as in `remask`.
    entropy
        (M,) in nats.
    bound
        In nats, 0 or more.

    Notes
    -----
    The largest k for which the entropies of the first k tokens, without the largest of them, sum up to `bound` at
    most. That sum limits what is lost by drawing the k tokens blind to each other: their total correlation is at most
    the sum of their entropies less the largest (Ben-Hamu et al., "Accelerated Sampling from Masked Diffusion Models
    via Entropy Bounded Unmasking", arXiv 2505.24857).
    """
    ranked = entropy[np.argsort(confidence, kind="stable")[::-1]].astype(np.float64)
    lost = np.cumsum(ranked) - np.maximum.accumulate(ranked)
    return int(np.searchsorted(np.maximum.accumulate(lost), bound, side="right"))


def remask(confidence: FloatArray, mask_length: int) -> BoolArray:
    """Choose `mask_length` least confident tokens: (N,) -> (N,) bool. Ties break by position, the first is masked."""
    mask = np.zeros(confidence.shape, dtype=np.bool_)
    mask[np.argsort(confidence, kind="stable")[:mask_length]] = True
    return mask


def confidences(
    log_probability: FloatArray,
    uniforms: FloatArray,
    temperature: np.float32,
    rows: IntArray,
) -> FloatArray:
    """Return each token's confidence, `log p + temperature * gumbel` where it was just drawn and +inf where it was
    known.

    Parameters
    ----------
    log_probability
        (M,) of the drawn tokens.
    uniforms
        (N,): one number for every position, so that a position's noise does not depend on what else is masked.
    rows
        (M,) positions of the drawn tokens.

    Returns
    -------
    (N,) float32
    """
    confidence = np.full(uniforms.shape, np.inf, dtype=np.float32)
    confidence[rows] = log_probability + temperature * gumbel(uniforms[rows])
    return confidence


def order_confidences(order: IntArray, rows: IntArray) -> FloatArray:
    """Return confidences that keep tokens by their place in an order and not by their probability: the negative
    place of what was just drawn, +inf where a token was known.

    Parameters
    ----------
    order
        (N,) all positions, the first to stay first.
    rows
        (M,) positions of the drawn tokens.

    Returns
    -------
    (N,) float32
    """
    places = np.empty(order.shape, np.float32)
    places[order] = np.arange(len(order))
    confidence = np.full(order.shape, np.inf, dtype=np.float32)
    confidence[rows] = -places[rows]
    return confidence
