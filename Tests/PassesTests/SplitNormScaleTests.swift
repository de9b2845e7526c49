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

/// Only where rows are rounded to 8 bits.
@Test(arguments: [(Precision.float32, false), (.bfloat16, false), (.int8, true), (.int4, true)])
func splitNormScaleIsForInt8AndInt4(_ precision: Precision, _ runs: Bool) {
    #expect(Pipeline.passes(for: PrecisionPolicy(precision)).contains { $0.name == "split-norm-scale" } == runs)
}
