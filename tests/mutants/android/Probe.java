import java.util.BitSet;

/** Which places of faults a test reached. Classes with probes call it. */
public final class Probe {
    private static volatile boolean[] reached = new boolean[0];

    private Probe() {}

    static void begin(int count) {
        reached = new boolean[count];
    }

    public static void hit(int number) {
        reached[number] = true;
    }

    static BitSet end() {
        var found = new BitSet();
        for (int i = 0; i < reached.length; i++) if (reached[i]) found.set(i);
        return found;
    }
}
