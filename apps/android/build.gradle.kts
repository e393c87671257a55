// Gradle 9.2.1 or newer; the Android plugin brings Kotlin for the app.
plugins {
    id("com.android.application") version "9.1.0" apply false
    kotlin("jvm") version "2.3.10" apply false
}
