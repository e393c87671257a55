import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassHierarchyResolver;
import java.lang.classfile.ClassModel;
import java.lang.classfile.ClassTransform;
import java.lang.classfile.CodeBuilder;
import java.lang.classfile.CodeElement;
import java.lang.classfile.CodeTransform;
import java.lang.classfile.Instruction;
import java.lang.classfile.MethodModel;
import java.lang.constant.ClassDesc;
import java.lang.constant.ConstantDescs;
import java.lang.constant.MethodTypeDesc;
import java.util.function.BiPredicate;
import java.util.function.IntConsumer;

/** Writes classes anew: with one fault, or with calls that tell which of the places of faults were reached. */
final class Planted {
    private static final ClassDesc PROBE = ClassDesc.of("Probe");
    private static final MethodTypeDesc HIT = MethodTypeDesc.of(ConstantDescs.CD_void, ConstantDescs.CD_int);

    private final ClassFile files;

    /** @param loader finds classes as files, to tell what is a kind of what */
    Planted(ClassLoader loader) {
        files = ClassFile.of(ClassFile.ClassHierarchyResolverOption.of(
            ClassHierarchyResolver.ofResourceParsing(loader).orElse(ClassHierarchyResolver.defaultResolver())));
    }

    /** Returns a class with one of its faults. */
    byte[] with(Mutant mutant, byte[] original) {
        return rewritten(original, (method, at) -> method == mutant.method() && at == mutant.element(),
            (code, element, method, at) -> mutant.fault().code().accept(code, (Instruction) element));
    }

    /** Returns a class that tells {@link Probe} which of its mutants' places it reaches, by their numbers. */
    byte[] probed(Iterable<Mutant> mutants, byte[] original) {
        var places = new java.util.HashMap<java.util.List<Integer>, java.util.List<Integer>>();
        for (var one : mutants) {
            places.computeIfAbsent(java.util.List.of(one.method(), one.element()), _ -> new java.util.ArrayList<>())
                .add(one.number());
        }
        return rewritten(original, (method, at) -> places.containsKey(java.util.List.of(method, at)),
            (code, element, method, at) -> {
                for (int number : places.get(java.util.List.of(method, at))) {
                    code.loadConstant(number).invokestatic(PROBE, "hit", HIT);
                }
                code.with(element);
            });
    }

    /** Puts something in the place of an element of a method's code. */
    private interface Change {
        void put(CodeBuilder code, CodeElement element, int method, int at);
    }

    private byte[] rewritten(byte[] original, BiPredicate<Integer, Integer> isPlace, Change change) {
        ClassModel model = files.parse(original);
        var methods = model.methods();
        ClassTransform all = (builder, element) -> {
            int method = element instanceof MethodModel it ? methods.indexOf(it) : -1;
            if (method < 0 || ((MethodModel) element).code().isEmpty()) {
                builder.with(element);
                return;
            }
            builder.transformMethod((MethodModel) element, java.lang.classfile.MethodTransform.transformingCode(
                CodeTransform.ofStateful(() -> new CodeTransform() {
                    private int at = 0;

                    @Override
                    public void accept(CodeBuilder code, CodeElement each) {
                        if (isPlace.test(method, at)) change.put(code, each, method, at);
                        else code.with(each);
                        at++;
                    }
                })));
        };
        return files.transformClass(model, all);
    }
}
