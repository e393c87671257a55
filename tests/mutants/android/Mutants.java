import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * `make mutants-android`: plants small faults in the core of the Kotlin library, one at a time, in its compiled
 * classes, and asks those of its quick tests that reach them. Prints what share was found, per file; which faults
 * survived stands in build/mutants/android. `equal-android.txt` says of those that are equal in effect, why.
 *
 * It reads and writes classes with `java.lang.classfile`, which JDKs have from 24 on.
 */
final class Mutants {
    static final String LIBRARY = "ai/amusededge/";
    private static final Path SOURCES = Path.of("apps/android/library/src/main/kotlin");
    private static final Path EQUAL = Path.of("tests/mutants/equal-android.txt");
    private static final Path PLACE = Path.of("build/mutants/android");

    /** Name -> files, or folders of them. */
    private static final Map<String, List<String>> GROUPS = new LinkedHashMap<>();

    static {
        GROUPS.put("sampling", List.of("sampling/"));
        GROUPS.put("tasks", List.of("tasks/", "Checks.kt"));
        GROUPS.put("bundle", List.of("bundle/", "GoldenCheck.kt"));
        GROUPS.put("drawing", List.of("drawing/Starts.kt", "drawing/Tokenizer.kt", "drawing/BytePairs.kt",
            "drawing/AddedTokens.kt", "drawing/Characters.kt"));
        GROUPS.put("pictures", List.of("pictures/"));
    }

    /** @param classes the folder of the library's and its tests' classes; groups none of which is all of them */
    private record Options(Path classes, Set<String> groups, int sample, long seed, boolean isAgain, boolean isWorker) {
        static Options of(String[] arguments) {
            var groups = new LinkedHashSet<String>();
            int sample = Integer.MAX_VALUE;
            long seed = 0;
            boolean isAgain = false;
            boolean isWorker = false;
            for (int i = 1; i < arguments.length; i++) {
                switch (arguments[i]) {
                    case "--sample" -> sample = Integer.parseInt(arguments[++i]);
                    case "--seed" -> seed = Long.parseLong(arguments[++i]);
                    case "--again" -> isAgain = true; // only what was not found the last time
                    case "--worker" -> isWorker = true; // of the one that was called
                    default -> groups.add(arguments[i]);
                }
            }
            if (!GROUPS.keySet().containsAll(groups)) {
                System.err.printf("%s: choose of %s, --sample N, --seed S, --again%n", groups, GROUPS.keySet());
                System.exit(2);
            }
            return new Options(Path.of(arguments[0]), groups.isEmpty() ? GROUPS.keySet() : groups, sample, seed,
                isAgain, isWorker);
        }

        boolean isChosen(String file) {
            return groups.stream().flatMap(it -> GROUPS.get(it).stream()).anyMatch(it -> file.startsWith(LIBRARY + it));
        }
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        var options = Options.of(arguments);
        var classes = classesOf(options.classes);
        var mutants = new Search(SOURCES, options::isChosen).all(classes);
        if (options.isWorker) {
            var answers = System.out;
            System.setOut(new PrintStream(PrintStream.nullOutputStream())); // of the tests
            new Worker(classes, mutants, answers).serve();
            return;
        }
        Files.createDirectories(PLACE);
        var tried = chosen(mutants, options);
        var known = options.isAgain ? foundBefore() : Set.<String>of();
        var tests = Reached.by(classes, mutants);
        var became = new TreeMap<Integer, String>();
        try (var workers = new Workers(arguments)) {
            for (var one : tried) {
                String how = known.contains(one.told()) ? "found\tbefore" : workers.ask(one, tests);
                became.put(one.number(), how);
                if (how.startsWith("survived")) System.err.println(survivor(one, how) + "\n"); // long before the table
                if (became.size() % 100 == 0) System.err.printf("%d of %d%n", became.size(), tried.size());
            }
        }
        report(mutants, became, options);
    }

    private static Map<String, byte[]> classesOf(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            return files.filter(it -> it.toString().endsWith(".class")).collect(Collectors.toMap(
                it -> folder.relativize(it).toString().replace(".class", "").replace('/', '.'), Mutants::bytes));
        }
    }

    private static byte[] bytes(Path file) {
        try {
            return Files.readAllBytes(file);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** Returns the mutants to try: of each group all, or so many by chance. */
    private static List<Mutant> chosen(List<Mutant> mutants, Options options) {
        var tried = new ArrayList<Mutant>();
        for (var group : options.groups) {
            var all = mutants.stream().filter(it -> GROUPS.get(group).stream()
                .anyMatch(file -> it.file().startsWith(file))).collect(Collectors.toList());
            if (options.sample < all.size()) Collections.shuffle(all, new Random(options.seed));
            tried.addAll(all.subList(0, Math.min(options.sample, all.size())));
        }
        return tried;
    }

    /** Reads blocks of a fault, as {@link Mutant#told} has it, and a last line `= ...`. */
    private static Map<String, String> told(Path file) throws IOException {
        var found = new LinkedHashMap<String, String>();
        String text = Files.exists(file) ? Files.readString(file).strip() : "";
        for (var block : text.split("\n{2,}")) {
            int reason = block.indexOf("\n= ");
            if (reason < 0 && !block.isEmpty()) throw new IOException(file + ": no reason is given for\n" + block);
            if (reason >= 0) found.put(block.substring(0, reason), block.substring(reason + 3));
        }
        return found;
    }

    private static Set<String> foundBefore() throws IOException {
        return told(PLACE.resolve("results.txt")).entrySet().stream()
            .filter(it -> !it.getValue().startsWith("survived")).map(Map.Entry::getKey).collect(Collectors.toSet());
    }

    private static void report(List<Mutant> mutants, Map<Integer, String> became, Options options) throws IOException {
        var equal = told(EQUAL);
        var counts = new TreeMap<String, Count>();
        var survivors = new ArrayList<String>();
        var results = new LinkedHashMap<String, String>(told(PLACE.resolve("results.txt")));
        for (var one : mutants) {
            String how = became.getOrDefault(one.number(), "not tried");
            String what = how.startsWith("survived") && equal.remove(one.told()) != null ? "equal" : how.split("\t")[0];
            for (var row : List.of(one.file(), "~ all of it")) {
                counts.computeIfAbsent(row, _ -> new Count()).add(what);
            }
            if (!what.equals("not tried")) results.put(one.told(), how);
            if (what.equals("survived")) {
                survivors.add(survivor(one, how));
            }
        }
        System.out.println("| file | planted | tried | equal in effect | found | share found |");
        System.out.println("|---".repeat(6) + "|");
        counts.forEach((name, count) -> System.out.println("| " + name.replace("~ ", "") + count.cells()));
        Files.writeString(PLACE.resolve("survivors.txt"), String.join("\n\n", survivors) + "\n");
        Files.writeString(PLACE.resolve("results.txt"), results.entrySet().stream()
            .map(it -> it.getKey() + "\n= " + it.getValue()).collect(Collectors.joining("\n\n", "", "\n")));
        System.out.printf("%d survived: %s%n", survivors.size(), PLACE.resolve("survivors.txt"));
        if (options.groups.size() == GROUPS.size() && options.sample == Integer.MAX_VALUE && !equal.isEmpty()) {
            System.out.printf("%s says of what was found, or is not planted:%n%s%n", EQUAL,
                String.join("\n\n", equal.keySet()));
        }
    }

    private static String survivor(Mutant mutant, String how) {
        return "# line %d, %s\n%s".formatted(mutant.place().line(), how.replace("\t", ": "), mutant.told());
    }

    /** Of a file: what became of its faults. */
    private static final class Count {
        private int planted;
        private int found;
        private int survived;
        private int equal;

        void add(String what) {
            planted++;
            switch (what) {
                case "found", "late", "ended" -> found++;
                case "survived" -> survived++;
                case "equal" -> equal++;
                case "not tried" -> { }
                default -> throw new IllegalStateException(what);
            }
        }

        String cells() {
            int asked = found + survived;
            String share = asked == 0 ? "-" : "%.1f%%".formatted(100.0 * found / asked);
            return " | %d | %d | %d | %d | %s |".formatted(planted, asked + equal, equal, found, share);
        }
    }
}
