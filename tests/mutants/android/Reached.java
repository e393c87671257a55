import java.util.ArrayList;
import java.util.BitSet;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A test without any fault: how long it took, and which places of faults it reached. */
record Reached(String name, double seconds, BitSet places) {
    /** Runs each test once, with classes of its own, so that what is done once only is done in each; quickest first. */
    static List<Reached> by(Map<String, byte[]> classes, List<Mutant> mutants) {
        var planted = new Planted(new Resources(classes));
        var ofClass = new HashMap<String, List<Mutant>>();
        for (var one : mutants) ofClass.computeIfAbsent(one.className(), _ -> new ArrayList<>()).add(one);
        var probed = new HashMap<String, byte[]>();
        ofClass.forEach((name, all) -> probed.put(name, planted.probed(all, classes.get(name))));
        var found = new ArrayList<Reached>();
        for (var name : new Asked(classes, Map.of()).tests().keySet()) {
            Probe.begin(mutants.size());
            var test = new Asked(classes, probed).tests().get(name);
            long start = System.nanoTime();
            test.run(); // an error ends it all: tests that fail without a fault find none
            found.add(new Reached(name, (System.nanoTime() - start) / 1e9, Probe.end()));
        }
        found.sort(Comparator.comparing(Reached::seconds));
        return found;
    }
}
