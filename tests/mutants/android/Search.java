import java.lang.classfile.Attributes;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassModel;
import java.lang.classfile.CodeElement;
import java.lang.classfile.Instruction;
import java.lang.classfile.MethodModel;
import java.lang.classfile.Opcode;
import java.lang.classfile.instruction.BranchInstruction;
import java.lang.classfile.instruction.ConstantInstruction;
import java.lang.classfile.instruction.InvokeInstruction;
import java.lang.classfile.instruction.LabelTarget;
import java.lang.classfile.instruction.LineNumber;
import java.lang.classfile.instruction.LoadInstruction;
import java.lang.classfile.instruction.LocalVariable;
import java.lang.classfile.instruction.NewObjectInstruction;
import java.lang.classfile.instruction.StoreInstruction;
import java.lang.reflect.AccessFlag;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;

/**
 * Finds what can be planted in classes that Kotlin's compiler made. Left out is what does not stand in the source: the
 * compiler's own methods and constants, the insides of its library's functions; and what an error is raised with.
 */
final class Search {
    private static final String MARKER = "kotlin/jvm/internal/DefaultConstructorMarker";

    private final Path sources;
    private final Predicate<String> isChosen;
    private final Map<String, List<String>> lines = new HashMap<>();
    private final Map<String, Integer> namesakes = new HashMap<>();
    private final List<Mutant> found = new ArrayList<>();

    /** @param isChosen of files below the folder of the sources */
    Search(Path sources, Predicate<String> isChosen) {
        this.sources = sources;
        this.isChosen = isChosen;
    }

    /** Returns the mutants of all classes, in an order that is always the same. */
    List<Mutant> all(Map<String, byte[]> classes) {
        classes.keySet().stream().sorted().forEach(name -> ofClass(name, ClassFile.of().parse(classes.get(name))));
        return found;
    }

    private void ofClass(String name, ClassModel model) {
        var source = model.findAttribute(Attributes.sourceFile());
        if (source.isEmpty() || model.flags().has(AccessFlag.SYNTHETIC)) return;
        String path = model.thisClass().asInternalName();
        String file = path.substring(0, path.lastIndexOf('/') + 1) + source.get().sourceFile().stringValue();
        if (!isChosen.test(file)) return;
        var map = model.findAttribute(Attributes.sourceDebugExtension());
        var places = new Sources(
            map.map(it -> new String(it.contents(), StandardCharsets.UTF_8)).orElse(""), file);
        boolean isEnum = model.flags().has(AccessFlag.ENUM);
        for (int i = 0; i < model.methods().size(); i++) {
            var method = model.methods().get(i);
            if (!isWritten(method)) continue;
            var code = new Code(method);
            if (code.isField() || code.isWrittenIntoCallers()) continue;
            for (var place : code.places(isEnum)) plant(name, i, method, places, place, code);
        }
    }

    private void plant(String name, int index, MethodModel method, Sources places, Code.Place at, Code code) {
        var place = places.of(at.line);
        if (place == null || !isChosen.test(place.file())) return;
        var texts = lines.computeIfAbsent(place.file(), file -> Sources.lines(sources.resolve(file)));
        String text = texts.get(place.line() - 1).strip();
        String function = method.methodName().stringValue().split("[-$]")[0];
        for (var fault : Faults.of(at.before, at.instruction, at.next, method.methodTypeSymbol())) {
            if (code.isOfDefaults() && !(at.instruction instanceof ConstantInstruction)) continue;
            String told = "%s %s %s %s".formatted(place.file(), function, text, fault.change());
            int before = namesakes.merge(told, 1, Integer::sum);
            String change = before == 1 ? fault.change() : "%s (%d)".formatted(fault.change(), before);
            found.add(new Mutant(found.size(), place, function, text, change, name, index, at.element, fault));
        }
    }

    /** Whether a method is one of the source's. */
    private static boolean isWritten(MethodModel method) {
        if (method.code().isEmpty() || method.flags().has(AccessFlag.BRIDGE)) return false;
        return !method.flags().has(AccessFlag.SYNTHETIC) || isOfDefaults(method);
    }

    /** Whether a method puts defaults in the place of arguments that were left out. */
    private static boolean isOfDefaults(MethodModel method) {
        return method.methodName().stringValue().endsWith("$default")
            || method.methodType().stringValue().contains("L" + MARKER + ";)");
    }

    /** A method's code, and which of it does not stand in the source. */
    private static final class Code {
        /** An instruction that may be changed: where it is, its line, what comes before and behind it. */
        record Place(int element, int line, Instruction before, Instruction instruction, Instruction next) {}

        private final MethodModel method;
        private final List<CodeElement> elements;
        private final List<Instruction> instructions = new ArrayList<>();
        private final Set<Integer> made = new HashSet<>();
        private final Set<Integer> literals = new HashSet<>(); // variables of lists of arguments

        Code(MethodModel method) {
            this.method = method;
            elements = method.code().orElseThrow().elementList();
            for (var element : elements) if (element instanceof Instruction it) instructions.add(it);
        }

        boolean isOfDefaults() {
            return Search.isOfDefaults(method);
        }

        /** Whether it only returns a property. */
        boolean isField() {
            return instructions.size() == 3 && opcode(1) == Opcode.GETFIELD
                || instructions.size() == 2 && opcode(0) == Opcode.GETSTATIC;
        }

        /** Whether it is an inline function, which is never called itself. */
        boolean isWrittenIntoCallers() {
            String mark = "$i$f$" + method.methodName().stringValue().split("[-$]")[0];
            return elements.stream()
                .anyMatch(it -> it instanceof LocalVariable local && local.name().equalsString(mark));
        }

        List<Place> places(boolean isEnum) {
            for (int i = 0; i < instructions.size(); i++) markMade(i);
            markMarks();
            boolean hasNoConstants = isEnum && method.methodName().equalsString("<clinit>");
            var places = new ArrayList<Place>();
            Deque<String> errors = new ArrayDeque<>(); // those that are being made
            int line = 0;
            int place = -1;
            for (int i = 0; i < elements.size(); i++) {
                if (elements.get(i) instanceof LineNumber it) line = it.line();
                if (!(elements.get(i) instanceof Instruction instruction)) continue;
                place++;
                if (instruction instanceof NewObjectInstruction it) {
                    String name = it.className().asInternalName();
                    if (name.endsWith("Exception") || name.endsWith("Error")) errors.push(name);
                } else if (instruction instanceof InvokeInstruction it && it.name().equalsString("<init>")
                    && it.owner().asInternalName().equals(errors.peek())) {
                    errors.pop();
                }
                boolean isLeftOut = line == 0 || made.contains(place) || !errors.isEmpty()
                    || hasNoConstants && instruction instanceof ConstantInstruction;
                if (!isLeftOut) {
                    places.add(new Place(i, line, instruction(place - 1), instruction, instruction(place + 1)));
                }
            }
            return places;
        }

        private Instruction instruction(int at) {
            return at >= 0 && at < instructions.size() ? instructions.get(at) : null;
        }

        private Opcode opcode(int at) {
            return instruction(at) == null ? null : instruction(at).opcode();
        }

        private boolean isNewArray(int at) {
            return opcode(at) == Opcode.ANEWARRAY || opcode(at) == Opcode.NEWARRAY;
        }

        private boolean isStoreInArray(int at) {
            return opcode(at) != null && opcode(at).name().endsWith("ASTORE") && opcode(at).name().length() == 7;
        }

        /** Whether a variable is stored that is stored again before anyone reads it: the compiler clears some. */
        private boolean isOverwritten(int at) {
            if (!(instruction(at) instanceof StoreInstruction store)) return false;
            for (int i = at + 1; i < instructions.size(); i++) {
                switch (instructions.get(i)) {
                    case StoreInstruction it when it.slot() == store.slot() -> {
                        return true;
                    }
                    case LoadInstruction it when it.slot() == store.slot() -> {
                        return false;
                    }
                    case BranchInstruction _ -> {
                        return false;
                    }
                    default -> { }
                }
            }
            return false;
        }

        /** Marks what the compiler made of a list of arguments, a call with defaults, or a call that never returns. */
        private void markMade(int i) {
            var at = instructions.get(i);
            if (at instanceof StoreInstruction it && opcode(i - 1) == Opcode.ANEWARRAY) literals.add(it.slot());
            if (at instanceof ConstantInstruction) {
                boolean isSize = opcode(i + 1) == Opcode.ANEWARRAY || isNewArray(i + 1) && opcode(i + 2) == Opcode.DUP;
                boolean isIndex = opcode(i - 1) == Opcode.DUP && (isNewArray(i - 2) || isStoreInArray(i - 2))
                    || instruction(i - 1) instanceof LoadInstruction array && literals.contains(array.slot());
                if (isSize || isIndex || isOfDefaults() && opcode(i + 1) == Opcode.IAND) made.add(i);
                if (instruction(i + 1) instanceof InvokeInstruction call
                    && call.name().equalsString("collectionSizeOrDefault") || isOverwritten(i + 1)) made.add(i);
            }
            if (at instanceof InvokeInstruction call) {
                boolean endsHere = i + 2 < instructions.size()
                    && instructions.get(i + 2) instanceof NewObjectInstruction it
                    && it.className().asInternalName().equals("kotlin/KotlinNothingValueException");
                if (endsHere) made.add(i);
                if (call.name().stringValue().endsWith("$default")
                    || call.type().stringValue().contains(MARKER)) markDefaults(i, call);
            }
            if (opcode(i) == Opcode.ARETURN && i > 0
                && instructions.get(i - 1) instanceof java.lang.classfile.instruction.FieldInstruction field
                && field.owner().asInternalName().equals("kotlin/Unit")) made.add(i);
        }

        /** Marks the bits of arguments that are left out, and the zeros at the end that stand in their places. */
        private void markDefaults(int call, InvokeInstruction invoke) {
            if (call < 2 || !(instructions.get(call - 2) instanceof ConstantInstruction bits)
                || !(bits.constantValue() instanceof Integer mask)) return;
            made.add(call - 2);
            int parameters = invoke.typeSymbol().parameterCount() - 2;
            boolean hasReceiver = invoke.opcode() == Opcode.INVOKESTATIC;
            int at = call - 3;
            for (int i = parameters - 1; i >= 0 && at >= 0; i--, at--) {
                boolean isZero = instructions.get(at) instanceof ConstantInstruction it
                    && (!(it.constantValue() instanceof Number number) || number.doubleValue() == 0);
                boolean isLeftOut = (mask >> i & 1) == 1 || hasReceiver && i > 0 && (mask >> (i - 1) & 1) == 1;
                if (!isZero || !isLeftOut) return;
                made.add(at);
            }
        }

        /** Marks the zeros that name where a function was written into its caller. */
        private void markMarks() {
            var marks = new HashSet<Object>();
            for (var element : elements) {
                if (element instanceof LocalVariable it && it.name().stringValue().startsWith("$i$")) {
                    marks.add(it.startScope());
                }
            }
            int place = -1;
            for (int i = 0; i < elements.size(); i++) {
                if (elements.get(i) instanceof Instruction) place++;
                if (!(elements.get(i) instanceof StoreInstruction)) continue;
                for (int j = i + 1; j < elements.size() && !(elements.get(j) instanceof Instruction); j++) {
                    if (elements.get(j) instanceof LabelTarget it && marks.contains(it.label())) made.add(place - 1);
                }
            }
        }
    }
}
