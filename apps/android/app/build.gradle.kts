plugins {
    id("com.android.application")
}

android {
    namespace = "ai.amusededge.app"
    compileSdk = 36

    defaultConfig {
        applicationId = "ai.amusededge.app"
        minSdk = 26 // java.util.Base64 of the library
        targetSdk = 36
        versionCode = 1
        versionName = "0.1.0"
        ndk { abiFilters += listOf("arm64-v8a", "x86_64") } // x86_64 for the emulator
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"), "proguard-rules.pro")
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
}

dependencies {
    implementation(project(":library"))
    implementation("com.microsoft.onnxruntime:onnxruntime-android:1.23.2") // engine.oldest_tried or newer
}
