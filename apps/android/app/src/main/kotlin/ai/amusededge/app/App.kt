package ai.amusededge.app

import android.app.Application
import android.system.Os

/** Switches ONNX Runtime's reports to its vendor off, before the engine is touched. */
class App : Application() {
    override fun onCreate() {
        super.onCreate()
        Os.setenv("ORT_DISABLE_TELEMETRY", "1", true)
    }
}
