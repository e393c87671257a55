/**
 * A fault that is planted: an element of a method's code is another.
 *
 * @param number from 0, among all that can be planted
 * @param function in whose source it stands, and the text of its line: these and the change are its name, which stays
 *     when lines move
 */
record Mutant(int number, Sources.Place place, String function, String text, String change, String className,
              int method, int element, Faults.Fault fault) {
    /** Its file, below the library's folder. */
    String file() {
        return place.file().substring(Mutants.LIBRARY.length());
    }

    /** What the list of faults that make no difference has above the reason. */
    String told() {
        return "%s %s\n- %s\n+ %s".formatted(file(), function, text, change);
    }
}
