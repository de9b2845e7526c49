import IR
import IRText
import Support
import Testing

/// A text with one fault, which the message names; the place is where `^` stands in the text (it is taken out before parsing).
struct Fault: Sendable, CustomTestStringConvertible {
    let text, message: String
    let expected: String?

    init(_ text: String, _ message: String, expected: String? = nil) {
        (self.text, self.message, self.expected) = (text, message, expected)
    }

    var testDescription: String { message }
}

/// An operation in a function with the parameters %x: f32[T, 4] and %i: i32[T], the weights @w: f32[4, 4] and @b: f32[4], and a cache &c.
private func inFunction(_ operation: String, _ message: String, expected: String? = nil) -> Fault {
    Fault(
        """
        module "m" stage imported {
          weight @w : f32[4, 4] = source "w" f32[4, 4]
          weight @b : f32[4] = source "b" f32[4]
          state &c : f32[8, 4]
          func f(%x: f32[T, 4], %i: i32[T]) at P {
            \(operation)
            return %x
          }
        }
        """, message, expected: expected)
}

private func inModule(_ items: String, _ message: String, expected: String? = nil) -> Fault {
    Fault("module \"m\" stage imported {\n\(items)\n}", message, expected: expected)
}

private let mnemonics = Op.parsers.map(\.mnemonic).joined(separator: ", ")

private let lexical: [Fault] = [
    Fault("module \"m\" stage imported {\n  ^#\n}", "unexpected character '#'", expected: "IR text"),
    Fault("module \"é漢\" ^漢", "unexpected character '漢'", expected: "IR text"),
    Fault("module ^/ \"m\"", "unexpected character '/'", expected: "IR text"),
    Fault("module ^\"m\nstage", "string without an end", expected: "'\"' on the same line"),
    Fault("module ^\"m", "string without an end", expected: "'\"' on the same line"),
    Fault("module ^\"m\\", "unknown escape", expected: "'\\\\', '\\\"' or '\\u{hex}'").movingPlace(by: 2),
    Fault("module \"m^\\n\"", "unknown escape", expected: "'\\\\', '\\\"' or '\\u{hex}'"),
    Fault("module \"m^\\u{}\"", "unknown escape", expected: "'\\u{hex}' with a Unicode scalar"),
    Fault("module \"m^\\u{d800}\"", "unknown escape", expected: "'\\u{hex}' with a Unicode scalar"),
    Fault("module \"m^\\u{1234567}\"", "unknown escape", expected: "'\\u{hex}' with a Unicode scalar"),
    Fault("module \"m^\\u41\"", "unknown escape", expected: "'\\u{hex}' with a Unicode scalar"),
    inFunction("%y = add %x, % ^w", "no name after '%'", expected: "letters, digits, '_', '.', '-', '+' or a string").movingPlace(by: -1),
]

private let structural: [Fault] = [
    Fault("^", "unexpected the end of the text", expected: "'module'"),
    Fault("// nothing\n\n  ^func", "unexpected 'func'", expected: "'module'"),
    Fault("module ^m", "unexpected 'm'", expected: "the module's name in double quotes"),
    Fault("module \"m\" ^{", "unexpected '{'", expected: "'stage'"),
    Fault("module \"m\" stage ^final {", "unexpected 'final'", expected: "'imported' or 'optimized'"),
    Fault("module \"m\" stage imported ^state", "unexpected 'state'", expected: "'{'"),
    Fault("module \"m\" stage imported {^", "unexpected the end of the text", expected: "'weight', 'state', 'func' or '}'"),
    Fault("module \"m\" stage imported {\n  ^%x", "unexpected '%x'", expected: "'weight', 'state', 'func' or '}'"),
    Fault("module \"m\" stage imported { } ^}", "unexpected '}'", expected: "nothing after the module"),
    inModule("weight ^w", "unexpected 'w'", expected: "'@' and the weight's name"),
    inModule("weight @w ^= ", "unexpected '='", expected: "':'"),
    inModule(
        "weight @w : ^float[4]", "unexpected 'float'",
        expected: "a type: 'f32', 'f16', 'bf16', 'i32', 'u8', 'q8', 'q8h', 'bf16p', 'q8p' or 'q4p' and '[dimensions]'"),
    inModule("weight @w : f32^(4)", "unexpected '('", expected: "'['"),
    inModule("weight @w : f32[4 ^5]", "unexpected '5'", expected: "',' or ']'"),
    inModule("weight @w : f32[4, ^]", "unexpected ']'", expected: "a dimension"),
    inModule("weight @w : f32[^0]", "unexpected '0'", expected: "a dimension: a number from 1 or 'T'"),
    inModule("weight @w : f32[^-1]", "unexpected '-1'", expected: "a dimension: a number from 1 or 'T'"),
    inModule("weight @w : f32[^2.0]", "unexpected '2.0'", expected: "a dimension: a number from 1 or 'T'"),
    inModule("weight @w : f32[^t]", "unexpected 't'", expected: "a dimension: a number from 1 or 'T'"),
    inModule("weight @w : f32[^99999999999999999999]", "'99999999999999999999' does not fit a 64-bit integer"),
    inModule("weight @w : ^f32[4294967296, 4294967296]", "f32[4294967296, 4294967296] is more than 2^63 bytes"),
    inModule("weight @w : f32[4] = ^load", "unexpected 'load'", expected: "'source' or 'fold'"),
    inModule("weight @w : f32[4] = source ^w", "unexpected 'w'", expected: "the tensor's name in double quotes"),
    inModule("weight ^@w : f32[4] = source \"w\" f32[5]", "weight '@w' is f32[4], but its source 'w' is f32[5]"),
    inModule("weight ^@w : f32[T] = source \"w\" f32[1]", "weight '@w' is f32[T]; expected a static shape of at most 2^63 bytes"),
    inModule("weight @w : f32[4] = source \"w\" f32[4]\nweight ^@w : f32[4] = source \"w\" f32[4]", "weight '@w' is defined twice"),
    inModule("weight ^@w : f32[4] = fold {}", "weight '@w' is f32[4], but its definition ends in nothing"),
    inModule("weight @w : f32[4] = fold { ^return }", "unknown operation 'return'", expected: "one of \(mnemonics)"),
    inModule("weight @w : f32[4] = fold { ^[ }", "unexpected '['", expected: "an operation or '}'"),
    inModule("weight @w : f32[4] = fold { %x = scale ^@w", "'@w' is not defined", expected: "a name defined before it"),
    inModule(
        "weight @w : f32[4] = source \"w\" f32[4]\nweight ^@v : f32[5] = fold { %x = scale @w {factor = 2.0} : f32[4] }",
        "weight '@v' is f32[5], but its definition ends in f32[4]"),
    inModule(
        "weight @w : f32[4, 4] = source \"w\" f32[4, 4]\nweight ^@v : f32[4, 4] = fold { %x = rotary @w {head_size = 2, theta = 10} : f32[4, 4] }",
        "'rotary' reads the position P, which the function does not have"),
    inModule("state ^c : f32[4]", "unexpected 'c'", expected: "'&' and the state's name"),
    inModule("state &c : f32[4]\nstate ^&c : f32[4]", "state '&c' is defined twice"),
    inModule("state ^&c : u8[4]", "state '&c' is u8[4]; expected f32, bf16, f16, i32 or q8h in a static shape"),
    inModule("func ^(", "unexpected '('", expected: "the function's name"),
    inModule("func f^{", "unexpected '{'", expected: "'('"),
    inModule("func f(^x", "unexpected 'x'", expected: "'%' and a parameter's name"),
    inModule("func f(%x^)", "unexpected ')'", expected: "':'"),
    inModule("func f(%x: f32[4]^ %y: f32[4])", "unexpected '%y'", expected: "',' or ')'").movingPlace(by: 1),
    inModule("func f(%x: f32[4], ^%x: f32[4])", "name '%x' is defined twice"),
    inModule("func f() at ^Q", "unexpected 'Q'", expected: "'P'"),
    inModule("func f() ^return", "unexpected 'return'", expected: "'{'"),
    inModule("func f() { return }\nfunc ^f() { return }", "function 'f' is defined twice"),
    inModule("func f() {\n^", "unexpected '}'", expected: "an operation or 'return'").movingPlace(line: 1),
    inModule("func f() { return ^%x }", "'%x' is not defined", expected: "a name defined before it"),
    inModule("func f() { return ^x }", "unexpected 'x'", expected: "a result"),
    inModule("func f(%x: f32[4]) { return %x ^%x }", "unexpected '%x'", expected: "',' or '}'"),
    inModule("state &c : f32[4]\nfunc ^f() { return &c }", "result '&c' is a state; expected a value"),
]

private let operational: [Fault] = [
    inFunction("%y ^add", "unexpected 'add'", expected: "'='"),
    inFunction("%y = ^{", "unexpected '{'", expected: "an operation"),
    inFunction("%y = ^matmull %x, @w", "unknown operation 'matmull'", expected: "'matmul'"),
    inFunction("%y = ^rmsnorm %x, @b", "unknown operation 'rmsnorm'", expected: "'rms_norm'"),
    inFunction("%y = ^convolution %x, @b", "unknown operation 'convolution'", expected: "one of \(mnemonics)"),
    inFunction("%y = add ^%z, @w", "'%z' is not defined", expected: "a name defined before it"),
    inFunction("%y = add %x, ^&d", "'&d' is not defined", expected: "a name defined before it"),
    inFunction("%y = add %x, ^{}", "unexpected '{'", expected: "an operand"),
    inFunction("%y = add %x, bias ^{}", "unexpected '{'", expected: "an operand"),
    inFunction("%y = ^add %x : f32[T, 4]", "'add' takes 2 operands, not 1"),
    inFunction("%y = ^add %x, %i : f32[T, 4]", "'add' the right operand is i32[T]; expected f32"),
    inFunction("%y = ^matmul %x, @w, @b : f32[T, 4]", "'matmul' takes 2 operands, not 3"),
    inFunction("%y = ^matmul %x, @w, base @b : f32[T, 4]", "'matmul' has operand 2 with label 'base'; expected no label"),
    inFunction("%y = ^matmul %x, weight @w : f32[T, 4]", "'matmul' has operand 1 with label 'weight'; expected no label"),
    inFunction(
        "%y = ^matmul %x, @w, addend %x, bias @b : f32[T, 4]", "'matmul' has operand 2 with label 'addend'; expected label 'bias'"),
    inFunction("%y = ^matmul %x, @w, bias %x : f32[T, 4]", "'matmul' the bias is f32[T, 4]; expected f32[4]"),
    inFunction("%y = ^matmul bias @b, %x, @w : f32[T, 4]", "'matmul' has operand 0 with label 'bias'; expected no label"),
    inFunction("%y = ^scale %x : f32[T, 4]", "'scale' attribute 'factor' is missing"),
    inFunction("%y = ^scale %x {factor = two} : f32[T, 4]", "'scale' attribute 'factor' is 'two', not a number"),
    inFunction("%y = ^scale %x {factor = 2, bias = 3} : f32[T, 4]", "'scale' unknown attribute 'bias'"),
    inFunction("%y = scale %x {factor = 2, ^factor = 3} : f32[T, 4]", "attribute 'factor' stands twice"),
    inFunction("%y = scale %x {factor^: 2}", "unexpected ':'", expected: "'='"),
    inFunction("%y = scale %x {factor = ^}", "unexpected '}'", expected: "a number, a list or a symbol"),
    inFunction("%y = scale %x {^%x = 2}", "unexpected '%x'", expected: "an attribute's name"),
    inFunction("%y = scale %x {factor = 2^ axis = 3}", "unexpected 'axis'", expected: "',' or '}'").movingPlace(by: 1),
    inFunction("%y = scale %x {factor = ^1e39}", "'1e39' does not fit f32"),
    inFunction("%y = scale %x {factor = ^1e-46}", "'1e-46' does not fit f32"),
    inFunction("%y = scale %x {factor = ^-9223372036854775809}", "'-9223372036854775809' does not fit a 64-bit integer"),
    inFunction("%y = scale %x {factor = ^1.}", "unexpected '1.'", expected: "a number"),
    inFunction("%y = scale %x {factor = ^0x10}", "unexpected '0x10'", expected: "a number"),
    inFunction("%y = scale %x {factor = ^-inf}", "unexpected '-inf'", expected: "a number"),
    inFunction("%y = scale %x {factor = ^1e}", "unexpected '1e'", expected: "a number"),
    inFunction("%y = ^scale %x {factor = nan}", "'scale' attribute 'factor' is 'nan', not a number"),
    inFunction("%y = ^reshape %x {shape = [2.5]}", "'reshape' attribute 'shape' is '[2.5]', not a list of integers"),
    inFunction("%y = reshape %x {shape = [2, ^x]}", "unexpected 'x'", expected: "a number"),
    inFunction("%y = reshape %x {shape = [2 ^3]}", "unexpected '3'", expected: "',' or ']'"),
    inFunction(
        "%y = ^activation %x {function = relu} : f32[T, 4]",
        "'activation' attribute 'function' is 'relu'; expected one of gelu, quick_gelu, silu"),
    inFunction("%y = scale %x {factor = 2} : ^f32[T, 5]", "'scale' has type f32[T, 5]", expected: "f32[T, 4]"),
    inFunction("%y = scale %x {factor = 2}^ return", "unexpected 'return'", expected: "':'").movingPlace(by: 1),
    inFunction("^scale %x {factor = 2} as y", "'scale' has a result", expected: "'%name = scale ... : f32[T, 4]'"),
    inFunction("^%y = cache_store &c, %x : f32[T, 4]", "'cache_store' has no result", expected: "'cache_store ... as name'"),
    inFunction("cache_store &c, %x ^: f32[T, 4]", "unexpected ':'", expected: "'as'"),
    inFunction("cache_store &c, %x as ^%y", "unexpected '%y'", expected: "the operation's name"),
    inFunction("^%x = add %x, %x : f32[T, 4]", "name '%x' is defined twice"),
    inFunction("cache_store &c, %x as s\n    ^cache_store &c, %x as s", "name '%s' is defined twice"),
    inFunction("^cache_store %x, %x as s", "operand 0 is '%x'; expected a state"),
    inFunction("%y = ^add &c, @b : f32[8, 4]", "'add' does not take the state '&c'"),
    inFunction(
        "%y = ^attention %x, &c, %x {heads = 1, kv_heads = 1, scale = 1} : f32[T, 4]",
        "'attention' the value is f32[T, 4]; expected f32[8, 4]"),
    inModule(
        "state &c : f32[8, 4]\nfunc f(%x: f32[2, 4]) {\n  ^cache_store &c, %x as s\n  return\n}",
        "'cache_store' reads the position P, which the function does not have"),
]

extension Fault {
    /// For a place where `^` cannot stand without changing the text.
    fileprivate func movingPlace(by columns: Int) -> Fault {
        let index = text.firstIndex(of: "^")!
        var moved = text
        moved.remove(at: index)
        moved.insert("^", at: moved.index(index, offsetBy: columns))
        return Fault(moved, message, expected: expected)
    }

    /// To the start of a later line
    fileprivate func movingPlace(line lines: Int) -> Fault {
        var parts = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let index = parts.firstIndex { $0.contains("^") }!
        parts[index].removeAll { $0 == "^" }
        parts[index + lines] = "^" + parts[index + lines]
        return Fault(parts.joined(separator: "\n"), message, expected: expected)
    }
}

@Suite struct ErrorTests {
    @Test(arguments: lexical + structural + operational) func fault(_ fault: Fault) throws {
        let before = try #require(fault.text.split(separator: "^", omittingEmptySubsequences: false).first)
        let lines = before.split(separator: "\n", omittingEmptySubsequences: false)
        let site = Site.line(file: "fault.ir", line: lines.count, column: lines[lines.count - 1].unicodeScalars.count + 1)
        #expect(throws: Diagnostic.error(fault.message, at: site, expected: fault.expected)) {
            try parseModule(fault.text.replacing("^", with: ""), file: "fault.ir")
        }
    }

    @Test func oneLine() {
        let error = #expect(throws: Diagnostic.self) {
            try parseModule("module \"m\" stage imported {\n  weight @w : f33[4]", file: "a\nb.ir")
        }
        #expect(
            error?.rendered
                == "error: unexpected 'f33', at line 2, column 15 of file 'a\\nb.ir'; expected a type: 'f32', 'f16', 'bf16', 'i32', 'u8', 'q8', 'q8h', 'bf16p', 'q8p' or 'q4p' and '[dimensions]'"
        )
    }
}
