package ai.amusededge.engines.ort

import ai.amusededge.GraphException
import ai.amusededge.bundle.Bundle
import ai.amusededge.bundle.Role
import ai.amusededge.engines.DType
import ai.amusededge.engines.Engine
import ai.amusededge.engines.Graph
import ai.amusededge.engines.Tensor
import ai.amusededge.firstLine
import ai.amusededge.wholeNumber
import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtLoggingLevel
import ai.onnxruntime.OrtSession
import ai.onnxruntime.providers.NNAPIFlags
import java.util.EnumSet

private const val MOST_THREADS = 256

/**
 * Who computes a graph's operators. What a provider does not know goes to the CPU, at the cost of copies; none but the
 * CPU's was run with these bundles on a phone. What it computes is compared with the bundle by
 * [ai.amusededge.AmusedPipeline.checkGolden]: do that once on each kind of device.
 */
public sealed interface Provider {
    /** ONNX Runtime's own kernels: all bundles. */
    public object Cpu : Provider

    /**
     * XNNPACK's kernels, in the official package for Android: float32 products and convolutions. It has neither
     * `MatMulNBits` nor `DynamicQuantizeMatMul`, so of `w8`, `w4` and `w8a8` only the decoder's convolutions can gain.
     *
     * @property threads of its own pool; the session's threads are then one
     */
    public data class Xnnpack(val threads: Int) : Provider {
        init {
            wholeNumber("threads", threads, 1, MOST_THREADS)
        }
    }

    /**
     * Android's NNAPI, deprecated since Android 15: it has neither `MatMulNBits` nor `DynamicQuantizeMatMul`, and takes
     * graphs of fixed shapes. For float32 and fp16 bundles.
     *
     * @property float16 compute in halves
     * @property withoutCpu leave out NNAPI's own slow CPU path
     */
    public data class Nnapi(val float16: Boolean = false, val withoutCpu: Boolean = true) : Provider

    /**
     * Qualcomm's QNN. It is in builds of its own (`onnxruntime-android-qnn`), and its HTP backend takes graphs of fixed
     * shapes whose values are quantized with QDQ nodes, which no recipe here writes: expect the CPU to do most.
     *
     * @property options of the provider, for example `backend_path`
     */
    public data class Qnn(val options: Map<String, String>) : Provider
}

/**
 * How ONNX Runtime runs graphs. Threads and providers may change the last bits of what is computed.
 *
 * @property threads within one operator, 1 to 256; null leaves it to ONNX Runtime, which takes all fast cores
 * @property arena keep freed memory for the next call: faster, and more memory between calls
 * @property spinning let idle threads spin for a while, which is faster and drains the battery
 * @property configuration more entries of the session's configuration, see `onnxruntime_session_options_config_keys.h`
 */
public class OrtOptions(
    public val threads: Int? = null,
    public val arena: Boolean = false,
    public val spinning: Boolean = false,
    public val provider: Provider = Provider.Cpu,
    public val configuration: Map<String, String> = mapOf(),
) {
    init {
        threads?.let { wholeNumber("threads", it, 1, MOST_THREADS) }
    }
}

/**
 * Runs graphs with ONNX Runtime, whose classes the app brings (`com.microsoft.onnxruntime:onnxruntime-android`), in the
 * version that the manifest names or a newer one. Models are opened by their paths, so that weights stay in the mapped
 * file; values are read and written in place.
 *
 * From 1.29 on its official builds report to their vendor unless the environment says `ORT_DISABLE_TELEMETRY=1` before
 * the first of its classes is touched, see docs/android.md.
 */
public class OrtEngine(private val options: OrtOptions = OrtOptions()) : Engine {
    override fun load(bundle: Bundle, role: Role): Graph {
        val model = bundle.file(bundle.graph(role).files.first())
        val environment = OrtEnvironment.getEnvironment()
        try {
            return OrtSession.SessionOptions().use { settings ->
                configure(settings)
                OrtGraph(role, environment, environment.createSession(model.path, settings))
            }
        } catch (error: OrtException) {
            throw GraphException(
                "onnxruntime cannot load ${model.name} of ${bundle.folder}: ${firstLine(error)}; verify the bundle",
                error,
            )
        }
    }

    private fun configure(settings: OrtSession.SessionOptions) {
        settings.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR)
        settings.setCPUArenaAllocator(options.arena)
        settings.setMemoryPatternOptimization(options.arena)
        settings.addConfigEntry("session.intra_op.allow_spinning", if (options.spinning) "1" else "0")
        options.threads?.let(settings::setIntraOpNumThreads)
        if (!addsSignedProductsExactly) {
            settings.addConfigEntry("session.x64quantprecision", "1") // signed weights become unsigned: exact, and slow
        }
        options.configuration.forEach(settings::addConfigEntry)
        when (val provider = options.provider) {
            is Provider.Cpu -> Unit
            is Provider.Xnnpack -> {
                settings.setIntraOpNumThreads(1) // two pools would fight
                settings.addXnnpack(mapOf("intra_op_num_threads" to provider.threads.toString()))
            }
            is Provider.Nnapi -> settings.addNnapi(flags(provider))
            is Provider.Qnn -> settings.addQnn(provider.options)
        }
    }

    private fun flags(provider: Provider.Nnapi): EnumSet<NNAPIFlags> {
        val flags = EnumSet.noneOf(NNAPIFlags::class.java)
        if (provider.float16) flags.add(NNAPIFlags.USE_FP16)
        if (provider.withoutCpu) flags.add(NNAPIFlags.CPU_DISABLED)
        return flags
    }
}

private class OrtGraph(
    private val role: Role,
    private val environment: OrtEnvironment,
    private val session: OrtSession,
) : Graph {
    override fun run(inputs: Map<String, Tensor>, outputs: Map<String, Tensor>) {
        val wrapped = HashMap<Tensor, OnnxTensor>()
        try {
            val given = inputs.mapValues { (_, tensor) -> wrapped.getOrPut(tensor) { wrap(tensor) } }
            val taken = outputs.mapValues { (_, tensor) -> wrapped.getOrPut(tensor) { wrap(tensor) } }
            session.run(given, taken).close() // pinned outputs: written in place
        } catch (error: OrtException) {
            throw GraphException("onnxruntime failed in ${role.id}: ${firstLine(error)}", error)
        } finally {
            wrapped.values.forEach { it.close() }
        }
    }

    override fun close() {
        try {
            session.close()
        } catch (error: OrtException) {
            throw GraphException("onnxruntime cannot close ${role.id}: ${firstLine(error)}", error)
        }
    }

    /** Returns a tensor over the same memory, which is direct and so is not copied. */
    private fun wrap(tensor: Tensor): OnnxTensor {
        val shape = LongArray(tensor.shape.size) { tensor.shape[it].toLong() }
        return when (tensor.dtype) {
            DType.FLOAT32 -> OnnxTensor.createTensor(environment, tensor.data.asFloatBuffer(), shape)
            DType.INT64 -> OnnxTensor.createTensor(environment, tensor.data.asLongBuffer(), shape)
            DType.INT32 -> OnnxTensor.createTensor(environment, tensor.data.asIntBuffer(), shape)
            DType.UINT8 -> OnnxTensor.createTensor(environment, tensor.data, shape, OnnxJavaType.UINT8)
        }
    }
}
