plugins {
    kotlin("jvm")
    `maven-publish`
}

group = "ai.amusededge"
version = "0.1.0"

kotlin {
    explicitApi()
    compilerOptions {
        jvmTarget = org.jetbrains.kotlin.gradle.dsl.JvmTarget.JVM_17
        allWarningsAsErrors = true
    }
}

java {
    sourceCompatibility = JavaVersion.VERSION_17
    targetCompatibility = JavaVersion.VERSION_17
    withSourcesJar()
}

dependencies {
    // The app brings ONNX Runtime, in the version that its bundles want.
    compileOnly("com.microsoft.onnxruntime:onnxruntime:1.23.2")
    testImplementation("com.microsoft.onnxruntime:onnxruntime:1.23.2")
}

publishing {
    publications {
        create<MavenPublication>("library") {
            artifactId = "amused-edge"
            from(components["java"])
        }
    }
}
