import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * The process in which faults are planted. It reads lines `mutant TAB seconds TAB test TAB seconds TAB test ...`, and
 * answers each with `found TAB test`, `survived`, or `broken TAB why`; where a test does not end within its seconds,
 * with `late TAB test`, and ends itself, because what runs without end cannot be stopped otherwise.
 */
final class Worker {
    private static final int TICK_MILLISECONDS = 50;

    private final Map<String, byte[]> classes;
    private final List<Mutant> mutants;
    private final Planted planted;
    private final PrintStream answers;

    Worker(Map<String, byte[]> classes, List<Mutant> mutants, PrintStream answers) {
        this.classes = classes;
        this.mutants = mutants;
        this.planted = new Planted(new Resources(classes));
        this.answers = answers;
    }

    void serve() throws IOException, InterruptedException {
        var lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null;) {
            var parts = line.split("\t");
            var mutant = mutants.get(Integer.parseInt(parts[0]));
            var asking = new Asking(mutant, Arrays.asList(parts).subList(1, parts.length));
            asking.start();
            // Counted in ticks, not by a clock: a process that is stopped for a while is not late.
            while (asking.isAlive() && asking.ticks.getAndDecrement() > 0) asking.join(TICK_MILLISECONDS);
            if (asking.isAlive()) {
                answers.println("late\t" + asking.test);
                answers.flush();
                Runtime.getRuntime().halt(0);
            }
            answers.println(asking.answer);
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    /** Asks tests until one of them fails. */
    private final class Asking extends Thread {
        private final Mutant mutant;
        private final List<String> tests;
        private final AtomicInteger ticks = new AtomicInteger(10_000 / TICK_MILLISECONDS);
        private volatile String test = "what all tests begin with";
        private volatile String answer = "survived";

        Asking(Mutant mutant, List<String> tests) {
            this.mutant = mutant;
            this.tests = tests;
        }

        @Override
        public void run() {
            String name = mutant.className();
            byte[] changed;
            try {
                changed = planted.with(mutant, classes.get(name));
            } catch (RuntimeException error) {
                answer = "broken\t" + error;
                return;
            }
            try {
                var bodies = new Asked(classes, Map.of(name, changed)).tests();
                for (int i = 0; i < tests.size(); i += 2) {
                    ticks.set((int) (Double.parseDouble(tests.get(i)) * 1000 / TICK_MILLISECONDS));
                    test = tests.get(i + 1);
                    bodies.get(test).run();
                }
            } catch (Throwable error) {
                var cause = error;
                while (cause.getCause() != null && !(cause instanceof VerifyError)) cause = cause.getCause();
                boolean isBroken = cause instanceof VerifyError || cause instanceof ClassFormatError;
                answer = isBroken ? "broken\t" + cause.toString().lines().findFirst().orElse("") : "found\t" + test;
            }
        }
    }
}
