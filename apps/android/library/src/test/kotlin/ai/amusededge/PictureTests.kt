package ai.amusededge

import ai.amusededge.bundle.hex
import ai.amusededge.pictures.*
import ai.amusededge.support.Tests
import ai.amusededge.support.check
import ai.amusededge.support.equal
import ai.amusededge.support.fails
import java.security.MessageDigest

/** Bytes without an order that is seen, in any language. */
private fun noise(count: Int) = ByteArray(count) { ((it * -1640531535) ushr 24).toByte() }

private fun hashOf(data: ByteArray): String = hex(MessageDigest.getInstance("SHA-256").digest(data)).take(16)

internal fun pictureTests(runner: Tests) {
    runner.test("Android's pixels are laid on white, those of masks on black, to the nearest level") {
        val alphas = listOf(0, 1, 2, 127, 128, 200, 254, 255)
        for (alpha in alphas) {
            val pixels = IntArray(256) { (alpha shl 24) or (it shl 16) or ((255 - it) shl 8) or (it xor 85) }
            val found = RgbImage.fromArgb(16, 16, pixels)
            val grey = GreyImage.fromArgb(16, 16, IntArray(256) { (alpha shl 24) or 0x010101 * it })
            fun laid(level: Int, ground: Int) = (level * alpha + ground * (255 - alpha) + 127) / 255 // no halves
            for (i in 0 until 256) {
                val colours = listOf(i, 255 - i, i xor 85).map { laid(it, 255) }
                equal(List(3) { level(found.data, 3 * i + it) }, colours)
                equal(level(grey.data, i), laid(i, 0))
            }
        }
        val colours = intArrayOf(-0x10000, -0xff0100, -0xffff01)
        equal(GreyImage.fromArgb(3, 1, colours).data.toList(), listOf<Byte>(76, -106, 29))
        equal(GreyImage.fromArgb(1, 1, intArrayOf(-0x1000000 + 0x3ee5)).data[0], 62) // 62.49998
        equal(GreyImage.fromArgb(1, 1, intArrayOf(-0x1000000 + 0x13fe6)).data[0], 63) // 63.49998
        val noise = RgbImage(64, 64, noise(64 * 64 * 3)).toArgb()
        equal(hashOf(GreyImage.fromArgb(64, 64, noise).data), "502f47d98e925984") // Pillow's grey
    }
    runner.test("pixels go to Android and back") {
        val image = RgbImage(3, 2, ByteArray(18) { (it * 14).toByte() })
        equal(image.toArgb()[1], 0xff2a3846.toInt())
        equal(RgbImage.fromArgb(3, 2, image.toArgb()).data.toList(), image.data.toList())
    }
    runner.test("pictures have as many bytes as their size says") {
        RgbImage(1, 1, ByteArray(3))
        GreyImage(1, 1, ByteArray(1))
        for ((width, height, bytes) in listOf(Triple(0, 1, 0), Triple(1, 0, 0), Triple(-1, -1, 3), Triple(2, 3, 17),
            Triple(2, 3, 19), Triple(1 shl 16, 1 shl 16, 0))) {
            fails<OptionsException>("${width}x$height pixels has $bytes bytes; give 3") {
                RgbImage(width, height, ByteArray(bytes))
            }
            if (bytes < 4) fails<OptionsException>("give 1 per pixel") { GreyImage(width, height, ByteArray(bytes)) }
        }
        for ((width, height, count) in listOf(Triple(0, 1, 0), Triple(1, 0, 0), Triple(-1, -1, 1), Triple(2, 3, 5),
            Triple(1 shl 16, 1 shl 16, 0))) {
            fails<OptionsException>("has $count numbers") { RgbImage.fromArgb(width, height, IntArray(count)) }
            fails<OptionsException>("has $count numbers") { GreyImage.fromArgb(width, height, IntArray(count)) }
        }
    }
    runner.test("a picture of a bundle's size is not made anew") {
        val image = RgbImage(3, 2, ByteArray(18))
        val mask = GreyImage(3, 2, ByteArray(6))
        for (fit in Fit.values()) {
            check(image.fitted(3, 2, fit) === image && mask.fitted(3, 2, fit) === mask) { "$fit copies" }
        }
    }
    runner.test("proportions may be off by less than a pixel") {
        checkProportions(100, 100, 256, 256)
        checkProportions(3, 2, 301, 200)
        checkProportions(2, 3, 200, 301)
        fails<OptionsException>("3x2 has other proportions") { checkProportions(3, 2, 300, 201) }
        fails<OptionsException>("2x3 has other proportions") { checkProportions(2, 3, 201, 300) }
    }
    runner.test("a picture that differs in one side alone is brought to the size too") {
        val image = RgbImage(3, 2, ByteArray(18) { it.toByte() })
        val mask = GreyImage(3, 2, ByteArray(6))
        for ((width, height) in listOf(3 to 4, 6 to 2)) {
            for (fit in Fit.values().toList() - Fit.EXACT) {
                equal(image.fitted(width, height, fit).run { listOf(this.width, this.height) }, listOf(width, height))
                equal(mask.fitted(width, height, fit).run { listOf(this.width, this.height) }, listOf(width, height))
            }
        }
    }
    runner.test("however thin a picture is, a row of it lies between the borders") {
        fun rgb(shown: String) = shown.flatMap { c -> List(3) { (if (c == 'x') 50 else 128).toByte() } }
        fun thin(width: Int, height: Int) = RgbImage(width, height, ByteArray(3 * width * height) { 50 })
        equal(thin(1000, 1).fitted(3, 3, Fit.PAD).data.toList(), rgb("...xxx..."))
        equal(thin(1, 1000).fitted(3, 3, Fit.PAD).data.toList(), rgb(".x..x..x."))
        val mask = GreyImage(1000, 1, ByteArray(1000) { 50 }).fitted(3, 3, Fit.PAD)
        equal(mask.data.toList(), listOf<Byte>(0, 0, 0, 50, 50, 50, 0, 0, 0))
    }
    runner.test("pictures are made smaller and larger as by Pillow, whichever side it takes first") {
        val hashes = mapOf( // of Pillow 13
            listOf(9, 40, 8, 5, 3) to "18805eecd078eae2", listOf(20, 30, 15, 20, 3) to "f297c3c02c44859a",
            listOf(20, 31, 15, 20, 3) to "908924d247fe9c77", listOf(5, 7, 9, 8, 3) to "3968ccbe6ef31d86",
            listOf(5, 9, 9, 6, 3) to "fbb9a2b7e5e45ea4", listOf(200, 150, 128, 100, 1) to "cf4925b40efc4420",
        )
        for ((sizes, hash) in hashes) {
            val (width, height, wantedWidth, wantedHeight, channels) = sizes
            val pixels = Pixels(width, height, channels, noise(width * height * channels))
            equal(hashOf(resize(pixels, wantedWidth, wantedHeight).data), hash)
        }
        val part = RgbImage(5, 8, noise(120)).fitted(12, 8, Fit.CROP)
        equal(hashOf(part.data), "6e8514dc920f88d5") // of rows 2 1/3 to 5 2/3
        val row = byteArrayOf(-60, 53, -49, 0, 0)
        equal(resize(Pixels(5, 1, 1, row), 1, 1).data.toList(), listOf<Byte>(92)) // a 4194304th below 92.5
        equal(resize(Pixels(2, 1, 1, byteArrayOf(7, 10)), 1, 1).data.toList(), listOf<Byte>(9)) // 8.5
        check(resize(Pixels(5, 7, 1, ByteArray(35)), 9, 4).data.all { it.toInt() == 0 }) { "black is not black" }
    }
    runner.test("the first pixel of a mask counts like the others, and what is not repainted stays") {
        val dot = GreyImage(4, 4, ByteArray(16).also { it[0] = -128 })
        equal(tokenMask(dot, 2, 2, Coverage.ANY).toList(), listOf(true, false, false, false))
        equal(pixelMask(dot).toList(), List(16) { it == 0 })
        val (drawn, original) = listOf(90, 10).map { level -> RgbImage(4, 4, ByteArray(48) { level.toByte() }) }
        for (feather in listOf(0, 2)) {
            val pasted = pasteBack(drawn, original, pixelMask(dot), feather).data.toList()
            equal(pasted, List<Byte>(48) { if (it < 3) 90 else 10 })
            equal(pasteBack(drawn, original, BooleanArray(16), feather).data.toList(), original.data.toList())
        }
    }
}
