import IR
import IRText
import Reference
import Support
import Testing

private let text = """
    module "m" stage imported {
      weight @a : f32[2] = source "a" f16[2, 1]
      weight @sum : f32[2] = fold {
        %x = add @a, @a : f32[2]
        %y = add %x, @a : f32[2]
      }
      weight @never : f32[2] = source "never" f32[2]
      weight @half : f16[2] = source "half" f16[2]
      symbol T <= 8
      state &n : i32[2]
      state &c : f32[2, 4, 2]
      state &h : f16[1, 4, 2]
      func f(%x: f32[T, 2], %y: f32[T, 2]) {
        %1 = add %x, %y : f32[T, 2]
        %2 = multiply %1, @sum : f32[T, 2]
        return %2, %x, @a
      }
      func g(%x: f32[T, 2], %s: i32[T]) {
        %p = reserve &n, %s : i32[T]
        cache_store &c, %x, %s, %p as store
        %l = attention %x, &c, &c, slots %s, places %p {heads = 1, kv_heads = 1, scale = 0.0} : f32[T, 2]
        return %l
      }
      func e(%t: i32[T], %b: u8[1, 1, 2]) {
        %table = reshape @a {shape = [2, 1]} : f32[2, 1]
        %l = embed %t, %table : f32[T, 1]
        return %l
      }
      func reads_half() {
        return @half
      }
      func stores_half(%x: f16[1, 2], %i: i32[1]) {
        cache_store &h, %x, %i, %i as store
        return
      }
      func taps(%x: f32[2*T + 1, 2], %n: i32[T]) {
        return %x
      }
      func after(%n: i32[T], %x: f32[2*T + 1, 2]) {
        return %x
      }
    }
    """

@Suite struct EvaluatorTests {
    private final class Log {
        var reads: [String] = []
        var results: [String] = []
    }

    private func evaluator(_ log: Log = Log()) throws -> Evaluator {
        Evaluator(try parseModule(text, file: "m.ir")) { source throws(Diagnostic) in
            log.reads.append(source.name)
            return source.name == "a" ? [1, 10] : [0]
        }
    }

    private func list(_ values: Int32...) -> Tensor { Tensor(shape: [values.count], values) }
    private func floats(_ shape: [Int], _ values: Float...) -> Tensor { Tensor(shape: shape, values) }

    @Test func weightsAreReadOnceAndOnlyWhenNeeded() throws {
        let log = Log()
        var evaluator = try evaluator(log)
        evaluator.observer = { log.results.append("\($0) \($1) \($2.type)") }
        for _ in 0..<2 {
            let results = try evaluator.call("f", [floats([2, 2], 1, 2, 3, 4), floats([2, 2], 1, 1, 1, 1)])
            #expect(results == [floats([2, 2], 6, 90, 12, 150), floats([2, 2], 1, 2, 3, 4), floats([2], 1, 10)])
        }
        #expect(log.reads == ["a"])
        #expect(log.results == ["f 1 f32[2, 2]", "f 2 f32[2, 2]", "f 1 f32[2, 2]", "f 2 f32[2, 2]"])
        #expect(try evaluator.weight("sum") == floats([2], 3, 30))
    }

    @Test func statesLiveBetweenCalls() throws {
        var evaluator = try evaluator()
        #expect(try evaluator.state("c") == Tensor(shape: [2, 4, 2], [Float](repeating: 0, count: 16)))
        // The scale is zero, so the result is the mean of the slot's rows so far.
        #expect(try evaluator.call("g", [floats([2, 2], 2, 4, 4, 8), list(0, 0)]) == [floats([2, 2], 2, 4, 3, 6)])
        #expect(try evaluator.call("g", [floats([2, 2], 1, 1, 6, 0), list(1, 0)]) == [floats([2, 2], 1, 1, 4, 4)])
        #expect(try evaluator.state("c") == floats([2, 4, 2], 2, 4, 4, 8, 6, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0))
        #expect(try evaluator.state("n") == list(3, 1))
        // A call without rows changes nothing.
        #expect(try evaluator.call("g", [floats([0, 2]), list()]) == [floats([0, 2])])
        #expect(try evaluator.state("n") == list(3, 1))
    }

    /// A slot that is cut back goes on from there, and one that is copied goes on as the other.
    @Test func statesCanBeSet() throws {
        var evaluator = try evaluator()
        _ = try evaluator.call("g", [floats([2, 2], 2, 4, 4, 8), list(0, 0)])
        try evaluator.setState("n", list(1, 0))
        #expect(try evaluator.call("g", [floats([1, 2], 6, 0), list(0)]) == [floats([1, 2], 4, 2)])
        try evaluator.setState("c", floats([2, 4, 2], 0, 0, 0, 0, 0, 0, 0, 0, 3, 5, 0, 0, 0, 0, 0, 0))
        try evaluator.setState("n", list(0, 1))
        #expect(try evaluator.call("g", [floats([1, 2], 1, 1), list(1)]) == [floats([1, 2], 2, 3)])
        #expect(throws: Diagnostic.error("contents of type i32[1] for the state '&n'", expected: "i32[2]")) {
            try evaluator.setState("n", list(1))
        }
        #expect(throws: Diagnostic.error("module 'm' has no state '&x'")) { try evaluator.setState("x", list(1)) }
    }

    /// A symbol is one number throughout a call, wherever it stands first.
    @Test func affineArgumentsAreChecked() throws {
        var evaluator = try evaluator()
        let rows = floats([5, 2], 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
        #expect(try evaluator.call("after", [list(0, 0), rows]) == [rows])
        #expect(try evaluator.call("taps", [rows, list(0, 0)]) == [rows])
        for (function, arguments) in [("after", [list(0), rows]), ("taps", [rows, list(0)])] {
            #expect(throws: Diagnostic.error("argument '%x' in a call of '\(function)' is f32[5, 2]", expected: "f32[3, 2]")) {
                try evaluator.call(function, arguments)
            }
        }
    }

    @Test func refusals() throws {
        let row = floats([1, 2], 1, 2)
        func refused(_ function: String, _ arguments: [Tensor]) throws -> String? {
            var evaluator = try evaluator()
            return #expect(throws: Diagnostic.self) { try evaluator.call(function, arguments) }?.rendered
        }
        #expect(
            try refused("h", [])
                == "error: module 'm' has no function 'h'; expected 'f', 'g', 'e', 'reads_half', 'stores_half', 'taps' or 'after'")
        #expect(try refused("f", [row]) == "error: 1 arguments in a call of 'f'; expected 2")
        #expect(try refused("f", [row, floats([2], 1, 2)]) == "error: argument '%y' in a call of 'f' is f32[2]; expected f32[1, 2]")
        #expect(
            try refused("f", [row, floats([2, 2], 1, 2, 3, 4)]) == "error: argument '%y' in a call of 'f' is f32[2, 2]; expected f32[1, 2]")
        #expect(try refused("f", [floats([0, 2]), row]) == "error: argument '%y' in a call of 'f' is f32[1, 2]; expected f32[0, 2]")
        #expect(
            try refused("f", [Tensor(shape: [1, 2], [1, 2] as [Int32]), row])
                == "error: argument '%x' in a call of 'f' is i32[1, 2]; expected f32[1, 2]")
        #expect(try refused("g", [row, list(2)]) == "error: slot 2 does not exist, at operation 'g: %p'; expected 0 to 1")
        #expect(
            try refused("g", [floats([5, 2], 1, 1, 2, 2, 3, 3, 4, 4, 5, 5), list(0, 0, 0, 0, 0)])
                == "error: a cache of 4 rows has no room for a row at place 4, at operation 'g: %store'; expected 0 to 3")
        #expect(
            try refused("e", [Tensor(shape: [1], [2] as [Int32]), Tensor(shape: [1, 1, 2], [0, 0] as [UInt8])])
                == "error: token 2 at index 0 is out of range, at operation 'e: %l'; expected 0 to 1")
        #expect(
            try refused("reads_half", [])
                == "error: weight '@half' is f16[2], at operation '@half'; expected f32 or panels in the reference evaluator")
        #expect(
            try refused("stores_half", [row, list(0)]) == "error: argument '%x' in a call of 'stores_half' is f32[1, 2]; expected f16[1, 2]"
        )
    }

    @Test func sourcesOfAnotherSizeAreRefused() throws {
        var evaluator = try evaluator()
        #expect(throws: Diagnostic.error("source 'never' gave 1 elements", at: .operation("@never"), expected: "those of f32[2]")) {
            try evaluator.weight("never")
        }
        #expect(throws: Diagnostic.error("module 'm' has no weight '@x'")) { try evaluator.weight("x") }
        #expect(throws: Diagnostic.error("module 'm' has no state '&x'")) { try evaluator.state("x") }
        #expect(
            throws: Diagnostic.error(
                "state '&h' is f16[1, 4, 2]", at: .operation("&h"), expected: "f32, bf16, q8h, i32 or u8 in the reference evaluator")
        ) {
            try evaluator.state("h")
        }
    }

    @Test func modulesThatDoNotVerifyAreRefused() throws {
        var module = try parseModule(text, file: "m.ir")
        module.functions[0].operations.remove(at: 0)
        var evaluator = Evaluator(module) { _ throws(Diagnostic) in [] }
        #expect(throws: Diagnostic.error("'multiply' reads '%1', which is not defined", at: .operation("f: %2"))) {
            try evaluator.call("f", [floats([1, 2], 1, 2), floats([1, 2], 1, 2)])
        }
    }
}
