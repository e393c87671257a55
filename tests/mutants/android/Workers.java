import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;

/** One {@link Worker} after the other. */
final class Workers implements AutoCloseable {
    /** Questions to a process: threads that faults left behind hold memory until it ends. */
    private static final int MOST = 200;

    private final List<String> command = new ArrayList<>();
    private Process process;
    private PrintStream questions;
    private BufferedReader answers;
    private int asked;

    /** @param arguments of this program */
    Workers(String[] arguments) {
        command.add(ProcessHandle.current().info().command().orElse("java"));
        command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
        command.addAll(List.of("-XX:+ExitOnOutOfMemoryError", "-cp", System.getProperty("java.class.path"), "Mutants"));
        command.addAll(List.of(arguments));
        command.add("--worker");
    }

    /** Returns `found`, `late` or `ended` and behind a tab by which test, or `survived`. */
    String ask(Mutant mutant, List<Reached> tests) throws IOException {
        var reached = tests.stream().filter(it -> it.places().get(mutant.number())).toList();
        if (reached.isEmpty()) return "survived\tno test reaches it";
        var question = new StringBuilder().append(mutant.number());
        for (var test : reached) question.append("\t%.1f\t%s".formatted(5 + 10 * test.seconds(), test.name()));
        String answer = asked(question.toString());
        if (answer == null) answer = asked(question.toString()); // it may have been those before
        if (answer == null) return "ended\tthe process";
        if (answer.startsWith("broken")) throw new IllegalStateException(mutant.told() + "\nis no class: " + answer);
        return answer;
    }

    /** Returns the answer to a question, or null if the process ended instead. */
    private String asked(String question) throws IOException {
        if (process == null || !process.isAlive() || asked >= MOST) {
            close();
            process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
            questions = new PrintStream(process.getOutputStream(), true);
            answers = process.inputReader();
            asked = 0;
        }
        asked++;
        questions.println(question);
        String answer = answers.readLine();
        boolean isAnswer = answer != null && answer.matches("(found|survived|late|broken)\\b.*");
        if (!isAnswer || answer.startsWith("late")) end();
        return isAnswer ? answer : null; // a virtual machine that ends says why
    }

    private void end() {
        process.destroyForcibly().onExit().join();
        process = null;
    }

    @Override
    public void close() {
        if (process != null) end();
    }
}
