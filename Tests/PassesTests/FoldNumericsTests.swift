import Foundation
import IR
import IRText
import Reference
import Support
import TestSupport
import Testing

@testable import Passes

/// A fold, a module in which it fires at widths of hundreds, and how far float32 may be from float64 after it.
///
/// Each result of an operation and each folded weight is rounded once (2^-24 = 6e-8, in l2 about 0.6 of it); sums are in float64 on either
/// side. A fold adds the rounding of its weights and takes away that of the results that it removes. The bound is four roundings.
struct Fold: Sendable, CustomTestStringConvertible {
    let pass: Pass
    let weights: String
    let function: String

    var testDescription: String { pass.name }
}

private let folds = [
    Fold(
        pass: Pipeline.foldLinear,
        weights: """
            weight @v : f32[256, 320] = source "v" f32[256, 320]
            weight @c : f32[256] = source "c" f32[256]
            weight @w : f32[96, 256] = source "w" f32[96, 256]
            weight @b : f32[96] = source "b" f32[96]
            """,
        function: """
            func f(%x: f32[12, 320]) {
              %h = matmul %x, @v, bias @c : f32[12, 256]
              %y = matmul %h, @w, bias @b {activation = gelu} : f32[12, 96]
              return %y
            }
            """),
    Fold(
        pass: Pipeline.averageFirst,
        weights: """
            weight @v : f32[96, 320] = source "v" f32[96, 320]
            weight @c : f32[96] = source "c" f32[96]
            """,
        function: """
            func f(%x: f32[36, 320]) {
              %h = matmul %x, @v, bias @c : f32[36, 96]
              %y = average_windows %h {grid = [6, 6], kernel = 3} : f32[4, 96]
              return %y
            }
            """),
    Fold(
        pass: Pipeline.foldNormScale,
        weights: """
            weight @scale : f32[320] = source "norm.scale" f32[320]
            weight @shift : f32[320] = source "norm.shift" f32[320]
            weight @v : f32[96, 320] = source "v" f32[96, 320]
            weight @c : f32[96] = source "c" f32[96]
            weight @other : f32[320] = source "norm.other" f32[320]
            weight @w : f32[96, 320] = source "w" f32[96, 320]
            """,
        function: """
            func f(%x: f32[12, 320]) {
              %n = layer_norm %x, @scale, @shift {epsilon = 1e-05} : f32[12, 320]
              %y = matmul %n, @v, bias @c : f32[12, 96]
              %m = rms_norm %x, @other {epsilon = 1e-05} : f32[12, 320]
              %z = matmul %m, @w : f32[12, 96]
              return %y, %z
            }
            """),
    Fold(
        pass: Pipeline.foldAttentionScale,
        weights: """
            weight @q : f32[96, 320] = source "q" f32[96, 320]
            weight @c : f32[96] = source "c" f32[96]
            """,
        function: """
            func f(%x: f32[12, 320], %k: f32[20, 96], %v: f32[20, 96]) {
              %q = matmul %x, @q, bias @c : f32[12, 96]
              %y = attention %q, %k, %v {heads = 2, kv_heads = 2, scale = 0.14433756} : f32[12, 96]
              return %y
            }
            """),
    Fold(
        pass: Pipeline.foldEmbedding,
        weights: """
            weight @patch : f32[96, 588] = source "v" f32[96, 588]
            weight @class : f32[1, 96] = source "class" f32[1, 96]
            weight @positions : f32[17, 96] = source "positions" f32[17, 96]
            """,
        function: """
            func f(%patches: f32[16, 588]) {
              %p = matmul %patches, @patch : f32[16, 96]
              %t = concatenate @class, %p {axis = 0} : f32[17, 96]
              %y = add %t, @positions : f32[17, 96]
              return %y
            }
            """),
    Fold(
        pass: Pipeline.splitConcatenation,
        weights: """
            weight @w : f32[96, 480] = source "w" f32[96, 480]
            weight @b : f32[96] = source "b" f32[96]
            """,
        function: """
            func f(%a: f32[12, 320], %b: f32[12, 160]) {
              %c = concatenate %a, %b {axis = 1} : f32[12, 480]
              %y = matmul %c, @w, bias @b {activation = gelu} : f32[12, 96]
              return %y
            }
            """),
]

/// Four roundings to float32, in relative l2.
private let foldTolerance = 4 * 0x1p-24

/// Values in -1...1; norm scales around 1, and weights that keep sums near 1.
private func elements(_ name: String, _ count: Int) -> [Float] {
    let noise = SeededGenerator.noise(name, count)
    if name.hasPrefix("norm.s") || name.hasPrefix("norm.o") { return noise.map { 1 + 0.5 * $0 } }
    return ["v", "w", "q"].contains(name) && count > 1000 ? noise.map { 0.1 * $0 } : noise
}

/// In float64 a fold changes nothing, and in float32 the result stays as near to float64 as roundings allow.
@Test(arguments: folds) func foldsStateTheirNumericEffect(_ fold: Fold) throws {
    let before = try parseModule("module \"m\" stage imported {\n\(fold.weights)\n\(fold.function)\n}", file: "m.ir")
    var after = before
    #expect(try fold.pass.run(&after) > 0)
    let exact = ExactEvaluator(module: before, source: elements).results(of: "f")
    for (a, b) in zip(exact, ExactEvaluator(module: after, source: elements).results(of: "f")) {
        #expect(distance(a.values, b.values) < 1e-13, "not the same function")
    }
    var errors: [[Double]] = []
    for module in [before, after] {
        var evaluator = Evaluator(module) { tensor throws(Diagnostic) in elements(tensor.name, tensor.type.elementCount()!) }
        let parameters = module.functions[0].parameters
        let found = try evaluator.call(
            "f",
            parameters.map { parameter in
                Tensor(shape: parameter.type.fixedShape!, elements(parameter.name, parameter.type.elementCount()!))
            })
        errors.append(zip(exact, found).map { distance($0.values, floats($1).map(Double.init)) })
    }
    #expect(errors[1].allSatisfy { $0 < foldTolerance }, "\(errors[0]) before, \(errors[1]) after")
    if ProcessInfo.processInfo.environment["LMMC_FOLD_ERRORS"] != nil {
        print("\(fold.pass.name): \(errors[0]) before, \(errors[1]) after")
    }
}

private func distance(_ expected: [Double], _ found: [Double]) -> Double {
    guard expected.count == found.count else { return .infinity }
    let difference = zip(expected, found).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    return (difference / expected.reduce(0) { $0 + $1 * $1 }).squareRoot()
}
