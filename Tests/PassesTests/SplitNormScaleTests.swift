import IR
import IRText
import Testing

@testable import Passes

@Test func splitNormScaleCases() throws { try checkCases(Pipeline.splitNormScale) }

/// What the split leaves is no scale that folds.
@Test func foldNormScaleLeavesARoot() throws {
    var module = try parseModule(
        """
        module "case" stage imported {
          symbol T <= 4
          weight @s : f32[4] = source "s" f32[4]
          weight @w : f32[2, 4] = source "w" f32[2, 4]

          func f(%x: f32[T, 4]) {
            %n = rms_norm %x, @s {epsilon = 1e-05} : f32[T, 4]
            %y = matmul %n, @w : f32[T, 2]
            return %y
          }
        }
        """, file: "case.ir")
    #expect(try Pipeline.splitNormScale.run(&module) == 1)
    #expect(try Pipeline.foldNormScale.run(&module) == 0)
}

/// Measured magnitudes take part on both sides, and the numbers stay.
@Test func splitNormScaleByMeasuredMagnitudes() throws {
    let text = """
        module "case" stage imported {
          symbol T <= 4
          weight @a.norm.scale : f32[4] = source "s" f32[4]
          weight @w : f32[2, 4] = source "w" f32[2, 4]

          func f(%x: f32[T, 4]) {
            %n = rms_norm %x, @a.norm.scale {epsilon = 1e-05} : f32[T, 4]
            %y = matmul %n, @w : f32[T, 2]
            return %y
          }
        }
        """
    let before = try parseModule(text, file: "case.ir")
    var after = before
    let source = SourceTensor(name: "calibration.a.norm", type: TensorType(.float32, fixed: [4]))
    #expect(try Pipeline.splitNormScale(["a.norm": source, "b.norm": source]).run(&after) == 1)
    try after.verify(after: "split-norm-scale")
    #expect(after.weights["a.norm.magnitude"]?.definition == .source(source))
    #expect(after.weights["b.norm.magnitude"] == nil)
    for name in ["a.norm.scale.folded", "w.folded"] {
        #expect(after.weights[name]?.operands.contains("a.norm.magnitude") == true, "\(name)")
    }
    try expectSameNumbers(before, after, "magnitudes")
}

/// Only where rows are rounded to 8 bits.
@Test(arguments: [(Precision.float32, false), (.bfloat16, false), (.int8, true), (.int4, true)])
func splitNormScaleIsForInt8AndInt4(_ precision: Precision, _ runs: Bool) {
    #expect(Pipeline.passes(for: PrecisionPolicy(precision)).contains { $0.name == "split-norm-scale" } == runs)
}
