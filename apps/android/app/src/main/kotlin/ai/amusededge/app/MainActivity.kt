package ai.amusededge.app

import ai.amusededge.AmusedEdgeException
import ai.amusededge.AmusedPipeline
import ai.amusededge.Cancellation
import ai.amusededge.PipelineOptions
import ai.amusededge.benchmark.BenchmarkOptions
import ai.amusededge.benchmark.Device
import ai.amusededge.benchmark.DeviceBenchmark
import ai.amusededge.benchmark.Subject
import ai.amusededge.engines.ort.OrtEngine
import ai.amusededge.pictures.RgbImage
import ai.amusededge.tasks.Task
import ai.onnxruntime.OrtEnvironment
import android.app.Activity
import android.app.ActivityManager
import android.graphics.Bitmap
import android.os.Build
import android.os.Bundle
import android.widget.Button
import android.widget.EditText
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.TextView
import java.io.File
import java.io.IOException
import java.time.Instant
import java.time.ZoneOffset
import java.time.format.DateTimeFormatter
import java.util.concurrent.ConcurrentHashMap
import kotlin.concurrent.thread

/**
 * A prompt, a picture that appears step by step, a button to stop, and the benchmark. Bundles are the folders in the
 * app's external files: `adb push bundle /sdcard/Android/data/ai.amusededge.app/files/`. The benchmark is started by a
 * tap, or by `adb shell am start -n ai.amusededge.app/.MainActivity --ez benchmark true`, and leaves `results.json`
 * beside the bundles.
 */
class MainActivity : Activity() {
    private lateinit var said: TextView
    private lateinit var picture: ImageView
    private var cancellation = Cancellation()
    private val verified = ConcurrentHashMap.newKeySet<File>() // bundles whose hashes were right, so taken once

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        val prompt = EditText(this).apply { setText(R.string.prompt) }
        said = TextView(this)
        picture = ImageView(this).apply { adjustViewBounds = true }
        val column = LinearLayout(this).apply { orientation = LinearLayout.VERTICAL }
        column.addView(prompt)
        column.addView(button(R.string.draw) { work { draw(prompt.text.toString(), it) } })
        column.addView(button(R.string.cancel) { cancellation.cancel() })
        column.addView(button(R.string.benchmark) { work(::benchmark) })
        column.addView(said)
        column.addView(picture)
        setContentView(column)
        if (intent.getBooleanExtra("benchmark", false)) work(::benchmark)
    }

    override fun onDestroy() {
        cancellation.cancel()
        super.onDestroy()
    }

    private fun button(text: Int, action: () -> Unit) = Button(this).apply {
        setText(text)
        setOnClickListener { action() }
    }

    /** Does some work in a thread of its own, in place of what runs. */
    private fun work(task: (Cancellation) -> Unit) {
        cancellation.cancel()
        val mine = Cancellation().also { cancellation = it }
        thread {
            try {
                task(mine)
            } catch (error: AmusedEdgeException) {
                say(error.message ?: error.toString())
            } catch (error: IOException) { // no space, or the storage was taken out
                say(error.message ?: error.toString())
            }
        }
    }

    private fun bundles(): List<File> =
        getExternalFilesDir(null)?.listFiles { file -> File(file, "manifest.json").exists() }.orEmpty().sorted()

    private fun draw(prompt: String, cancellation: Cancellation) {
        val folder = bundles().firstOrNull() ?: return say("there is no bundle in ${getExternalFilesDir(null)}")
        val options = PipelineOptions(verify = folder !in verified)
        AmusedPipeline.open(folder, OrtEngine(), options, cancellation).use { pipeline ->
            verified += folder
            var state = pipeline.begin(Task(prompt), cancellation = cancellation).single()
            pipeline.resume(state, cancellation = cancellation).use { steps ->
                for (step in steps) {
                    state = state.after(step)
                    say("step ${step.index + 1} of ${step.steps}")
                    show(pipeline.preview(step, cancellation).single())
                }
            }
            show(pipeline.finish(state, cancellation = cancellation).image)
        }
    }

    private fun benchmark(cancellation: Cancellation) {
        val subjects = bundles().map { Subject(it.name, it, OrtEngine()) }
        val made = DateTimeFormatter.ISO_OFFSET_DATE_TIME.format(Instant.now().atOffset(ZoneOffset.UTC))
        val text = DeviceBenchmark(subjects, BenchmarkOptions(), device(), PhoneProbe(this))
            .run(made, cancellation) { label, done, of -> say("$label, turn ${done + 1} of $of") }
        say("${write(text)}")
    }

    /** Writes results; those of before are replaced once all is written. */
    private fun write(text: String): File {
        val file = File(getExternalFilesDir(null), "results.json")
        val partial = File(file.path + ".partial")
        partial.writeText(text)
        if (!partial.renameTo(file)) throw IOException("cannot write $file")
        return file
    }

    private fun device(): Device {
        val memory = ActivityManager.MemoryInfo()
        getSystemService(ActivityManager::class.java).getMemoryInfo(memory)
        val chip = if (Build.VERSION.SDK_INT >= 31) "${Build.SOC_MANUFACTURER} ${Build.SOC_MODEL}" else Build.HARDWARE
        val packages = mapOf("amused-edge" to "0.1.0", "onnxruntime" to OrtEnvironment.getEnvironment().version)
        val system = "Android ${Build.VERSION.RELEASE}"
        return Device("${Build.MANUFACTURER} ${Build.MODEL}", chip, system, "Kotlin", packages, memory.totalMem)
    }

    private fun say(text: String) = runOnUiThread { said.text = text }

    private fun show(image: RgbImage) {
        val bitmap = Bitmap.createBitmap(image.toArgb(), image.width, image.height, Bitmap.Config.ARGB_8888)
        runOnUiThread { picture.setImageBitmap(bitmap) }
    }
}
