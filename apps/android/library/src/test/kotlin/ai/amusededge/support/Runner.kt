package ai.amusededge.support

import kotlin.system.exitProcess

/** Takes tests: to run them, or to keep them. */
internal interface Tests {
    /** Takes a test; null of [skip] runs it, anything else says why not. */
    fun test(name: String, skip: String? = null, body: () -> Unit)
}

/**
 * Runs tests one after the other and prints those that fail, and with `--times` how long each took: all that is needed
 * without a library of tests. Other arguments are parts of names.
 */
internal class Runner(arguments: List<String>) : Tests {
    private val wanted = arguments - "--times"
    private val isTimed = "--times" in arguments
    private var passed = 0
    private var failed = 0
    private var skipped = 0

    override fun test(name: String, skip: String?, body: () -> Unit) {
        if (wanted.isNotEmpty() && wanted.none { it in name }) return
        if (skip != null) {
            skipped++
            println("SKIP $name: $skip")
            return
        }
        val start = System.nanoTime()
        try {
            body()
            passed++
            if (isTimed) println("%6.2f s %s".format((System.nanoTime() - start) / 1e9, name))
        } catch (error: Throwable) {
            failed++
            println("FAIL $name: $error")
            error.stackTrace.filter { "amusededge" in it.className }.take(6).forEach { println("    at $it") }
        }
    }

    fun end(): Nothing {
        println("$passed passed, $failed failed, $skipped skipped")
        exitProcess(if (failed > 0 || passed == 0) 1 else 0)
    }
}

internal fun check(condition: Boolean, said: () -> String) {
    if (!condition) throw AssertionError(said())
}

internal fun <T> equal(found: T, expected: T) = check(found == expected) { "$found is not $expected" }

/** Runs what must throw an error of this kind that holds some words. */
internal inline fun <reified E : Throwable> fails(vararg words: String, body: () -> Unit) {
    try {
        body()
    } catch (error: Throwable) {
        check(error is E) { "it threw $error, not ${E::class.java.simpleName}" }
        for (word in words) check(word in (error.message ?: "")) { "$word is not in: ${error.message}" }
        return
    }
    throw AssertionError("it threw nothing, not ${E::class.java.simpleName}")
}
