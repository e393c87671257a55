import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/** Where lines of a class stand in Kotlin's sources; also those of functions that were written into their callers. */
final class Sources {
    /** A file below the folder of the sources, and a line from 1. */
    record Place(String file, int line) {}

    /** Lines from `first` on are those from `line` on of a file; each `step` of them are one there. */
    private record Run(int first, int count, int step, String file, int line) {}

    private static final Pattern FILE = Pattern.compile("\\+ (\\d+) (\\S+)\n(\\S+)\n");
    private static final Pattern RUN = Pattern.compile("(\\d+)#(\\d+)(?:,(\\d+))?:(\\d+)(?:,(\\d+))?\n");

    private final List<Run> runs = new ArrayList<>();

    /** @param map JSR-45's of a class, "" of one that has none; `file` is then all that it is made of */
    Sources(String map, String file) {
        int end = map.indexOf("*S KotlinDebug");
        String told = end < 0 ? map : map.substring(0, end);
        var files = new ArrayList<String>(List.of(""));
        for (var found = FILE.matcher(told); found.find();) {
            String folder = found.group(3).substring(0, found.group(3).lastIndexOf('/') + 1);
            files.add(folder + found.group(2));
        }
        for (var found = RUN.matcher(told); found.find();) {
            int count = found.group(3) == null ? 1 : Integer.parseInt(found.group(3));
            int step = found.group(5) == null ? 1 : Integer.parseInt(found.group(5));
            int first = Integer.parseInt(found.group(4));
            String name = files.get(Integer.parseInt(found.group(2)));
            runs.add(new Run(first, count, step, name, Integer.parseInt(found.group(1))));
        }
        if (runs.isEmpty()) runs.add(new Run(1, Integer.MAX_VALUE, 1, file, 1));
    }

    /** Returns where a line of the class stands; null where it is nowhere. */
    Place of(int line) {
        for (var run : runs) {
            int at = (line - run.first) / run.step;
            if (line >= run.first && at < run.count) return new Place(run.file, run.line + at);
        }
        return null;
    }

    static List<String> lines(Path file) {
        try {
            return Files.readAllLines(file, StandardCharsets.UTF_8);
        } catch (IOException error) {
            throw new java.io.UncheckedIOException(error);
        }
    }
}
