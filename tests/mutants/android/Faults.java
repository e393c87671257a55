import java.lang.classfile.CodeBuilder;
import java.lang.classfile.Instruction;
import java.lang.classfile.Opcode;
import java.lang.classfile.TypeKind;
import java.lang.classfile.instruction.BranchInstruction;
import java.lang.classfile.instruction.ConstantInstruction;
import java.lang.classfile.instruction.IncrementInstruction;
import java.lang.classfile.instruction.InvokeInstruction;
import java.lang.classfile.instruction.OperatorInstruction;
import java.lang.classfile.instruction.ReturnInstruction;
import java.lang.constant.ClassDesc;
import java.lang.constant.ConstantDescs;
import java.lang.constant.MethodTypeDesc;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;

/** The small faults that an instruction can have. Those of PIT, and constants; not what strings say. */
final class Faults {
    /** @param code writes what takes an instruction's place: of one of the class that is being written */
    record Fault(String change, BiConsumer<CodeBuilder, Instruction> code) {}

    private static final Map<String, String> OPERATORS = Map.ofEntries(
        Map.entry("ADD", "SUB"), Map.entry("SUB", "ADD"), Map.entry("MUL", "DIV"), Map.entry("DIV", "MUL"),
        Map.entry("REM", "MUL"), Map.entry("AND", "OR"), Map.entry("OR", "AND"), Map.entry("XOR", "AND"),
        Map.entry("SHL", "SHR"), Map.entry("SHR", "SHL"), Map.entry("USHR", "SHL"));

    /** A jump's condition to its contrary, by the end of its name; a bound that belongs to the other side. */
    private static final Map<String, String> CONTRARY = Map.of(
        "EQ", "NE", "NE", "EQ", "LT", "GE", "GE", "LT", "GT", "LE", "LE", "GT", "IFNULL", "IFNONNULL", "IFNONNULL",
        "IFNULL");
    private static final Map<String, String> BOUNDS = Map.of("LT", "LE", "LE", "LT", "GT", "GE", "GE", "GT");

    /** @param before the instruction before it; and that behind it; null where there is none */
    static List<Fault> of(Instruction before, Instruction at, Instruction next, MethodTypeDesc method) {
        return switch (at) {
            case OperatorInstruction it -> operator(it);
            case BranchInstruction it -> branch(it);
            case IncrementInstruction it -> List.of(new Fault(
                "+= %d became += %d".formatted(it.constant(), -it.constant()),
                (code, _) -> code.iinc(it.slot(), -it.constant())));
            case ConstantInstruction it -> constant(it);
            case ReturnInstruction it -> returned(before, it, method.returnType());
            case InvokeInstruction it when isDropped(it, next) -> List.of(new Fault(
                "no call of " + it.name().stringValue().replace("access$", ""), (code, _) -> instead(code, it)));
            default -> List.of();
        };
    }

    private static List<Fault> operator(OperatorInstruction at) {
        String name = at.opcode().name();
        if (name.endsWith("NEG")) return List.of(new Fault("no " + name, (code, _) -> code.nop()));
        String other = OPERATORS.get(name.substring(1)); // the first letter is the type
        if (other == null) return List.of();
        Opcode opcode = Opcode.valueOf(name.charAt(0) + other);
        return List.of(new Fault(became(name, opcode.name()), (code, _) -> code.with(OperatorInstruction.of(opcode))));
    }

    private static List<Fault> branch(BranchInstruction at) {
        var faults = new ArrayList<Fault>();
        String name = at.opcode().name();
        for (var others : List.of(CONTRARY, BOUNDS)) {
            for (var end : others.keySet()) {
                if (!name.startsWith("IF") || !name.endsWith(end) || end.startsWith("IF") != end.equals(name)) continue;
                String other = name.substring(0, name.length() - end.length()) + others.get(end);
                var opcode = Opcode.valueOf(other);
                faults.add(new Fault(became(name, other), (code, jump) ->
                    code.with(BranchInstruction.of(opcode, ((BranchInstruction) jump).target()))));
            }
        }
        return faults;
    }

    private static List<Fault> constant(ConstantInstruction at) {
        if (at.constantValue() instanceof Integer x) {
            int other = x == 1 ? 0 : x + 1; // 1 may be true
            return List.of(new Fault(became(x, other), (code, _) -> code.loadConstant(other)));
        }
        if (at.constantValue() instanceof Long x) {
            return List.of(new Fault(became(x, x + 1), (code, _) -> code.loadConstant(x + 1)));
        }
        if (at.constantValue() instanceof Float x) {
            float other = (float) other(x, x + 1);
            return List.of(new Fault(became(x, other), (code, _) -> code.loadConstant(other)));
        }
        if (at.constantValue() instanceof Double x) {
            double other = other(x, x + 1);
            return List.of(new Fault(became(x, other), (code, _) -> code.loadConstant(other)));
        }
        return List.of();
    }

    private static double other(double x, double next) {
        if (Double.isInfinite(x)) return -x;
        return Double.isNaN(x) || next == x ? 0 : next;
    }

    private static List<Fault> returned(Instruction before, ReturnInstruction at, ClassDesc type) {
        if (at.typeKind() == TypeKind.VOID) return List.of();
        var faults = type.equals(ConstantDescs.CD_boolean)
            ? List.of(returns(at, "false", 0), returns(at, "true", 1))
            : List.of(returns(at, type.isPrimitive() ? "0" : "null", 0));
        if (!(before instanceof ConstantInstruction it)) return faults;
        double same = it.constantValue() instanceof Number x ? x.doubleValue() : 0; // null is no number
        return faults.stream().filter(fault -> (fault.change().endsWith("true") ? 1 : 0) != same).toList();
    }

    private static Fault returns(ReturnInstruction at, String said, int value) {
        return new Fault("returns " + said, (code, _) -> {
            drop(code, at.typeKind());
            push(code, at.typeKind(), value);
            code.return_(at.typeKind());
        });
    }

    /** Whether nothing is done with what a call returns. */
    private static boolean isDropped(InvokeInstruction call, Instruction next) {
        boolean isUnused = call.typeSymbol().returnType().equals(ConstantDescs.CD_void)
            || next != null && (next.opcode() == Opcode.POP || next.opcode() == Opcode.POP2);
        return isUnused && !call.name().equalsString("<init>")
            && !call.owner().asInternalName().equals("kotlin/jvm/internal/Intrinsics");
    }

    /** Takes a call's arguments away, and puts nothing in the place of what it returned. */
    private static void instead(CodeBuilder code, InvokeInstruction call) {
        for (var type : call.typeSymbol().parameterList().reversed()) drop(code, TypeKind.from(type));
        if (call.opcode() != Opcode.INVOKESTATIC) code.pop();
        push(code, TypeKind.from(call.typeSymbol().returnType()), 0);
    }

    private static void drop(CodeBuilder code, TypeKind kind) {
        if (kind.slotSize() == 2) code.pop2();
        else code.pop();
    }

    private static void push(CodeBuilder code, TypeKind kind, int value) {
        switch (kind.asLoadable()) {
            case INT -> code.loadConstant(value);
            case LONG -> code.lconst_0();
            case FLOAT -> code.fconst_0();
            case DOUBLE -> code.dconst_0();
            case REFERENCE -> code.aconst_null();
            default -> { }
        }
    }

    private static String became(Object what, Object other) {
        return what + " became " + other;
    }
}
