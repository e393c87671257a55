package ai.amusededge.app

import ai.amusededge.benchmark.Probe
import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.os.BatteryManager
import android.os.Build
import android.os.PowerManager

private val HEATS = listOf("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")

/** What Android tells of the phone's heat: the thermal status (from Android 10 on) and the battery's temperature. */
class PhoneProbe(private val context: Context) : Probe {
    override fun thermal(): String {
        if (Build.VERSION.SDK_INT < 29) return ""
        val status = context.getSystemService(PowerManager::class.java).currentThermalStatus
        return HEATS.getOrElse(status) { status.toString() }
    }

    override fun celsius(): Double? {
        val battery = context.registerReceiver(null, IntentFilter(Intent.ACTION_BATTERY_CHANGED)) ?: return null
        val tenths = battery.getIntExtra(BatteryManager.EXTRA_TEMPERATURE, Int.MIN_VALUE)
        return if (tenths == Int.MIN_VALUE) null else tenths / 10.0
    }
}
