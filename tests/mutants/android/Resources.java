import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.util.Map;

/** Classes as files, for whoever asks what is a kind of what. */
final class Resources extends ClassLoader {
    private final Map<String, byte[]> classes;

    Resources(Map<String, byte[]> classes) {
        this.classes = classes;
    }

    @Override
    public InputStream getResourceAsStream(String name) {
        byte[] bytes = classes.get(name.replace(".class", "").replace('/', '.'));
        return bytes == null ? super.getResourceAsStream(name) : new ByteArrayInputStream(bytes);
    }
}
