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

/// An operation in a function with the parameters %x: f32[T, 4], %i: i32[T] and %j: i32[S], the weights @w: f32[4, 4] and @b: f32[4], a cache
/// &c and its lengths &n.
private func inFunction(_ operation: String, _ message: String, expected: String? = nil) -> Fault {
    Fault(
        """
        module "m" stage imported {
          symbol T <= 64
          symbol S <= 8
          weight @w : f32[4, 4] = source "w" f32[4, 4]
          weight @b : f32[4] = source "b" f32[4]
          state &n : i32[2]
          state &c : f32[2, 8, 4]
          func f(%x: f32[T, 4], %i: i32[T], %j: i32[S]) {
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
    Fault("module \"m\" stage imported {^", "unexpected the end of the text", expected: "'symbol', 'weight', 'state', 'func' or '}'"),
    Fault("module \"m\" stage imported {\n  ^%x", "unexpected '%x'", expected: "'symbol', 'weight', 'state', 'func' or '}'"),
    Fault("module \"m\" stage imported { } ^}", "unexpected '}'", expected: "nothing after the module"),
    inModule("weight ^w", "unexpected 'w'", expected: "'@' and the weight's name"),
    inModule("weight @w ^= ", "unexpected '='", expected: "':'"),
    inModule(
        "weight @w : ^float[4]", "unexpected 'float'",
        expected: "a type: 'f32', 'f16', 'bf16', 'i32', 'u8', 'q8', 'q8h', 'bf16p', 'q8p' or 'q4p' and '[dimensions]'"),
    inModule("weight @w : f32^(4)", "unexpected '('", expected: "'['"),
    inModule("weight @w : f32[4 ^5]", "unexpected '5'", expected: "',' or ']'"),
    inModule("weight @w : f32[4, ^]", "unexpected ']'", expected: "a dimension"),
    inModule("weight @w : f32[^0]", "unexpected '0'", expected: "a dimension: a number from 1 or a symbol that the module declares"),
    inModule("weight @w : f32[^-1]", "unexpected '-1'", expected: "a dimension: a number from 1 or a symbol that the module declares"),
    inModule("weight @w : f32[^2.0]", "unexpected '2.0'", expected: "a dimension: a number from 1 or a symbol that the module declares"),
    inModule("weight @w : f32[^t]", "unexpected 't'", expected: "a dimension: a number from 1 or a symbol that the module declares"),
    inModule("weight @w : f32[^99999999999999999999]", "'99999999999999999999' does not fit a 64-bit integer"),
    inModule("weight @w : ^f32[4294967296, 4294967296]", "f32[4294967296, 4294967296] is more than 2^63 bytes"),
    inModule("weight @w : f32[4] = ^load", "unexpected 'load'", expected: "'source' or 'fold'"),
    inModule("weight @w : f32[4] = source ^w", "unexpected 'w'", expected: "the tensor's name in double quotes"),
    inModule("weight ^@w : f32[4] = source \"w\" f32[5]", "weight '@w' is f32[4], but its source 'w' is f32[5]"),
    inModule(
        "symbol T <= 4\nweight ^@w : f32[T] = source \"w\" f32[1]", "weight '@w' is f32[T]; expected a static shape of at most 2^63 bytes"),
    inModule("weight @w : f32[4] = source \"w\" f32[4]\nweight ^@w : f32[4] = source \"w\" f32[4]", "weight '@w' is defined twice"),
    inModule("weight ^@w : f32[4] = fold {}", "weight '@w' is f32[4], but its definition ends in nothing"),
    inModule("weight @w : f32[4] = fold { ^return }", "unknown operation 'return'", expected: "one of \(mnemonics)"),
    inModule("weight @w : f32[4] = fold { ^[ }", "unexpected '['", expected: "an operation or '}'"),
    inModule("weight @w : f32[4] = fold { %x = scale ^@w", "'@w' is not defined", expected: "a name defined before it"),
    inModule(
        "weight @w : f32[4] = source \"w\" f32[4]\nweight ^@v : f32[5] = fold { %x = scale @w {factor = 2.0} : f32[4] }",
        "weight '@v' is f32[5], but its definition ends in f32[4]"),
    inModule(
        "weight @i : i32[4] = source \"i\" i32[4]\nstate &n : i32[2]\nweight ^@v : i32[4] = fold { %p = reserve &n, @i : i32[4] }",
        "'reserve' has an effect and may not stand in a weight"),
    inModule("state ^c : f32[4]", "unexpected 'c'", expected: "'&' and the state's name"),
    inModule("state &c : f32[4]\nstate ^&c : f32[4]", "state '&c' is defined twice"),
    inModule("state ^&c : u8[4]", "state '&c' is u8[4]; expected f32, bf16, f16, i32 or q8h in a static shape"),
    inModule("func ^(", "unexpected '('", expected: "the function's name"),
    inModule("func f^{", "unexpected '{'", expected: "'('"),
    inModule("func f(^x", "unexpected 'x'", expected: "'%' and a parameter's name"),
    inModule("func f(%x^)", "unexpected ')'", expected: "':'"),
    inModule("func f(%x: f32[4]^ %y: f32[4])", "unexpected '%y'", expected: "',' or ')'").movingPlace(by: 1),
    inModule("func f(%x: f32[4], ^%x: f32[4])", "name '%x' is defined twice"),
    inModule("func f() ^at P", "unexpected 'at'", expected: "'{'"),
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
    inFunction("^%y = cache_store &c, %x, %i, %i : f32[T, 4]", "'cache_store' has no result", expected: "'cache_store ... as name'"),
    inFunction("cache_store &c, %x, %i, %i ^: f32[T, 4]", "unexpected ':'", expected: "'as'"),
    inFunction("cache_store &c, %x, %i, %i as ^%y", "unexpected '%y'", expected: "the operation's name"),
    inFunction("^%x = add %x, %x : f32[T, 4]", "name '%x' is defined twice"),
    inFunction("cache_store &c, %x, %i, %i as s\n    ^cache_store &c, %x, %i, %i as s", "name '%s' is defined twice"),
    inFunction("^cache_store &c, %x, %i as s", "'cache_store' takes 4 operands, not 3"),
    inFunction("^cache_store &c, %x, %j, %i as s", "'cache_store' the list of slots is i32[S]; expected i32[T]"),
    inFunction("^cache_store %x, %x, %i, %i as s", "'cache_store' the cache is f32[T, 4]; expected 3 dimensions"),
    inFunction("%y = ^reserve %j, %i : i32[T]", "operand 0 is '%j'; expected a state"),
    inFunction("%y = reserve &n, %i : ^i32[S]", "'reserve' has type i32[S]", expected: "i32[T]"),
    inFunction("^reserve &n, %i as y", "'reserve' has a result", expected: "'%name = reserve ... : i32[T]'"),
    inFunction("%y = gather_rows %x, %j : ^f32[T, 4]", "'gather_rows' has type f32[T, 4]", expected: "f32[S, 4]"),
    inFunction("%y = ^gather_rows %x, %x : f32[T, 4]", "'gather_rows' the list of rows is f32[T, 4]; expected i32 of 1 dimension"),
    inFunction("%y = ^rotary %x {head_size = 2, theta = 10} : f32[T, 4]", "'rotary' takes 2 operands, not 1"),
    inFunction(
        "%y = ^rotary %x, %j {head_size = 2, theta = 10} : f32[T, 4]", "'rotary' the list of positions is i32[S]; expected i32[T]"),
    inFunction("%y = ^add &c, @b : f32[2, 8, 4]", "'add' does not take the state '&c'"),
    inFunction(
        "%y = ^attention %x, &c, %x {heads = 1, kv_heads = 1, scale = 1} : f32[T, 4]",
        "'attention' the key is f32[2, 8, 4]; expected 2 dimensions"),
    inFunction(
        "%y = ^attention %x, &c, &c {heads = 1, kv_heads = 1, scale = 1} : f32[T, 4]",
        "'attention' the key is f32[2, 8, 4]; expected 2 dimensions"),
    inFunction(
        "%y = ^attention %x, &c, &c, slots %i {heads = 1, kv_heads = 1, scale = 1} : f32[T, 4]", "'attention' takes 5 operands, not 4"),
    inFunction(
        "%y = ^attention %x, &c, &c, %i, %i {heads = 1, kv_heads = 1, scale = 1} : f32[T, 4]", "'attention' takes 3 operands, not 5"),
    inFunction(
        "%y = ^attention %x, &c, &c, places %i, slots %i {heads = 1, kv_heads = 1, scale = 1} : f32[T, 4]",
        "'attention' has operand 3 with label 'places'; expected label 'slots'"),
    inFunction(
        "%y = ^attention %x, &c, %x, slots %i, places %i {heads = 1, kv_heads = 1, scale = 1} : f32[T, 4]",
        "'attention' the value is f32[T, 4]; expected 3 dimensions"),
]

/// A parameter's type in a module with the symbols T and S, which are at most 64 and 8.
private func inType(_ type: String, _ message: String, expected: String? = nil) -> Fault {
    inModule("symbol T <= 64\nsymbol S <= 8\nfunc f(%x: \(type)) { return }", message, expected: expected)
}

private let aDimension = "a dimension: a number from 1 or a symbol, 'S' or 'T'"

private let symbolic: [Fault] = [
    inModule("symbol ^<= 4", "unexpected '<'", expected: "the symbol's name: a letter, then letters, digits and '_'"),
    inModule("symbol ^2T <= 4", "unexpected '2T'", expected: "the symbol's name: a letter, then letters, digits and '_'"),
    inModule("symbol ^T-S <= 4", "unexpected 'T-S'", expected: "the symbol's name: a letter, then letters, digits and '_'"),
    inModule("symbol ^\"T\" <= 4", "unexpected string 'T'", expected: "the symbol's name: a letter, then letters, digits and '_'"),
    inModule("symbol T ^= 4", "unexpected '='", expected: "'<'"),
    inModule("symbol T < ^4", "unexpected '4'", expected: "'='"),
    inModule("symbol T <= ^0", "'0' bounds no symbol", expected: "a number from 1 to 2147483647"),
    inModule("symbol T <= ^-1", "'-1' bounds no symbol", expected: "a number from 1 to 2147483647"),
    inModule("symbol T <= ^2147483648", "'2147483648' bounds no symbol", expected: "a number from 1 to 2147483647"),
    inModule("symbol T <= ^2.0", "'2.0' bounds no symbol", expected: "a number from 1 to 2147483647"),
    inModule("symbol T <= ^S", "unexpected 'S'", expected: "a number"),
    inModule("symbol T <= ^99999999999999999999", "'99999999999999999999' does not fit a 64-bit integer"),
    inModule("symbol T <= 4\nsymbol ^T <= 5", "symbol 'T' is declared twice"),
    inModule(
        "func f(%x: f32[^T]) { return }\nsymbol T <= 4", "unexpected 'T'",
        expected: "a dimension: a number from 1 or a symbol that the module declares"),
    inType("f32[^U]", "unexpected 'U'", expected: aDimension),
    inType("f32[^t]", "unexpected 't'", expected: aDimension),
    inType("f32[T + ^]", "unexpected ']'", expected: "a dimension"),
    inType("f32[T + ^U]", "unexpected 'U'", expected: aDimension),
    inType("f32[T + ^0]", "unexpected '0'", expected: aDimension),
    inType("f32[T ^+1]", "unexpected '+1'", expected: "',' or ']'"),
    inType("f32[^T+1]", "unexpected 'T+1'", expected: aDimension),
    inType("f32[^-T]", "unexpected '-T'", expected: aDimension),
    inType("f32[T^*2]", "unexpected '*'", expected: "',' or ']'"),
    inType("f32[2*^U]", "unexpected 'U'", expected: "a symbol of the module"),
    inType("f32[2*^3]", "unexpected '3'", expected: "a symbol of the module"),
    inType("f32[2 ^T]", "unexpected 'T'", expected: "',' or ']'"),
    inType("f32[4, ^T - S]", "a dimension of 'T - S'", expected: "one that is never negative"),
    inType("f32[^T + 7 - S]", "a dimension of 'T + 7 - S'", expected: "one that is never negative"),
    inType("f32[^T - T]", "a dimension of '0'", expected: "one that is never negative"),
    inType("f32[^2 - 3]", "a dimension of '-1'", expected: "one that is never negative"),
    inType("f32[1 + ^9223372036854775807]", "the dimension does not fit a 64-bit integer"),
    inType("f32[T + ^9223372036854775807*T + T]", "the dimension does not fit a 64-bit integer"),
    inType("^f32[9223372036854775807*T]", "f32[9223372036854775807*T] is more than 2^63 bytes"),
    inType("^f32[4611686018427387904 - S]", "f32[4611686018427387904 - S] is more than 2^63 bytes"),
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
    @Test(arguments: lexical + structural + symbolic + operational) func fault(_ fault: Fault) throws {
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
