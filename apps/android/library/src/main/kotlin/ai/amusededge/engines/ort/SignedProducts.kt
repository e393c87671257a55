package ai.amusededge.engines.ort

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** ONNX, in hex: y (1, 1) int32 = MatMulInteger(a (1, 4) uint8, b (4, 1) int8). */
private const val MODEL =
    "08053a5c0a180a01610a0162120179220d4d61744d756c496e7465676572120167" +
        "5a130a0161120e0a0c080212080a0208010a0208045a130a0162120e0a0c080312080a0208040a020801" +
        "62130a0179120e0a0c080612080a0208010a02080142040a00100a"

private const val LARGEST_ACTIVATION = 255
private const val LARGEST_WEIGHT = 127

private val X86 = Regex("amd64|x86.*|i[3-6]86")

/**
 * Whether this CPU adds up products of unsigned activations and signed 8-bit weights as they are. ARM does; x86 without
 * 8-bit dot products (some emulators) adds them in pairs, in 16 bits that saturate, so there the engine is asked.
 */
internal val addsSignedProductsExactly: Boolean by lazy {
    !X86.matches(System.getProperty("os.arch").orEmpty()) || engineAddsExactly()
}

private fun engineAddsExactly(): Boolean {
    val environment = OrtEnvironment.getEnvironment()
    val model = MODEL.chunked(2) { it.toString().toInt(16).toByte() }.toByteArray()
    OrtSession.SessionOptions().use { settings ->
        settings.setIntraOpNumThreads(1)
        environment.createSession(model, settings).use { session ->
            codes(environment, LARGEST_ACTIVATION, OnnxJavaType.UINT8, longArrayOf(1, 4)).use { a ->
                codes(environment, LARGEST_WEIGHT, OnnxJavaType.INT8, longArrayOf(4, 1)).use { b ->
                    session.run(mapOf("a" to a, "b" to b)).use { found ->
                        val sum = (found.get(0) as OnnxTensor).intBuffer.get(0)
                        return sum == 4 * LARGEST_ACTIVATION * LARGEST_WEIGHT
                    }
                }
            }
        }
    }
}

private fun codes(environment: OrtEnvironment, code: Int, type: OnnxJavaType, shape: LongArray): OnnxTensor {
    val values = ByteBuffer.allocateDirect(4).order(ByteOrder.nativeOrder())
    repeat(4) { values.put(it, code.toByte()) }
    return OnnxTensor.createTensor(environment, values, shape, type)
}
