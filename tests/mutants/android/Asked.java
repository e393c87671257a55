import java.lang.reflect.Method;
import java.util.Map;

/** The tests, with classes of their own: made anew for each fault, so that none is left from the one before. */
final class Asked extends ClassLoader {
    /** What the tests' class of the library has: names, and what runs them. */
    private static final String TESTS = "ai.amusededge.TestsKt";

    private final Map<String, byte[]> classes;
    private final Map<String, byte[]> changed;

    /** @param changed classes in the place of some of the others */
    Asked(Map<String, byte[]> classes, Map<String, byte[]> changed) {
        this.classes = classes;
        this.changed = changed;
    }

    @Override
    protected Class<?> findClass(String name) throws ClassNotFoundException {
        byte[] bytes = changed.getOrDefault(name, classes.get(name));
        if (bytes == null) throw new ClassNotFoundException(name);
        return defineClass(name, bytes, 0, bytes.length);
    }

    /** Returns the tests by their names. */
    @SuppressWarnings("unchecked")
    Map<String, Runnable> tests() {
        try {
            Method named = loadClass(TESTS).getMethod("testsWithoutEngine");
            return (Map<String, Runnable>) named.invoke(null);
        } catch (ReflectiveOperationException error) {
            throw new IllegalStateException("the tests cannot be listed", error);
        }
    }
}
