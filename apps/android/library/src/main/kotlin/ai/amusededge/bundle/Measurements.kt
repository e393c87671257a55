package ai.amusededge.bundle

/**
 * Checks what was measured of a bundle when it was made. A phone does not need the figures, but a manifest in which
 * they are damaged is damaged.
 */
internal fun checkMeasurements(manifest: Fields) {
    manifest.optional("parity")?.let(::checkParity)
    manifest.optional("quantization")?.let { fields ->
        fields.child("recipe")
        fields.text("parent")
        if (fields.raw("logits") != null) {
            checkLogits(fields.child("logits"))
            checkPictures(fields.child("pictures"))
        }
    }
    manifest.optional("simulated")?.let { fields ->
        fields.text("evaluator")
        fields.text("reference")
        checkParity(fields)
    }
}

private fun checkParity(fields: Fields) {
    fields.table("roles") { role -> role.names.forEach { role.float(it) } }
    checkLogits(fields.child("logits"))
    checkPictures(fields.child("pictures"))
}

private fun checkLogits(fields: Fields) {
    listOf("generations", "rows").forEach { fields.whole(it) }
    val floats = listOf("mean_kl", "max_kl", "total_variation", "top1", "top5", "equal_draws")
    (floats + "confidence_correlation" + "max_logit_error").forEach { fields.float(it) }
}

private fun checkPictures(fields: Fields) {
    for (name in listOf("psnr", "worst_psnr", "ssim")) if (fields.raw(name) != null) fields.float(name)
    fields.float("equal_codes")
}
