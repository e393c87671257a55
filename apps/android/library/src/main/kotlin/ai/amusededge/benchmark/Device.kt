package ai.amusededge.benchmark

import java.io.File

/**
 * What figures are measured on, for people.
 *
 * @property name for example "Pixel 9"
 * @property memory bytes; null where it is not known
 * @property runtime what ran the loop, for example "Kotlin on Android 16"
 * @property packages versions by name, at least those of amused-edge and of the engine
 */
public class Device(
    public val name: String,
    public val cpu: String,
    public val system: String,
    public val runtime: String,
    public val packages: Map<String, String>,
    public val memory: Long?,
    public val cores: Int = Runtime.getRuntime().availableProcessors(),
)

/** Resident memory in bytes; [anonymous] (heaps) and [fileBacked] (mapped files) where the system tells them apart. */
public data class Memory(val total: Long, val anonymous: Long?, val fileBacked: Long?)

/** Looks at the device while a benchmark runs; what it cannot tell is null or "". */
public interface Probe {
    /** What this process holds now; asked every few milliseconds, in a thread of its own, while a call is timed. */
    public fun memory(): Memory? = processMemory()

    /** What the device says of its heat, for example "moderate". */
    public fun thermal(): String = ""

    /** A temperature, often the battery's. */
    public fun celsius(): Double? = null

    /** Seconds of a clock that never goes back. */
    public fun seconds(): Double = System.nanoTime() / 1e9
}

/** Returns what Linux and Android tell a process of its own memory. */
public fun processMemory(): Memory? = try {
    val kibibytes = File("/proc/self/status").readLines().mapNotNull { line ->
        val parts = line.split(Regex("\\s+"))
        if (parts.size == 3 && parts[2] == "kB") parts[0].trimEnd(':') to parts[1].toLong() * 1024 else null
    }.toMap()
    val anonymous = kibibytes.getValue("RssAnon")
    val files = kibibytes.getValue("RssFile") + kibibytes.getValue("RssShmem")
    Memory(anonymous + files, anonymous, files)
} catch (_: java.io.IOException) {
    null
} catch (_: NoSuchElementException) {
    null
}
