import IR
import Testing

@testable import IRView

@Suite struct RowMergingCostTests {
    @Test func merging() throws {
        func cost(_ parameters: String, _ operation: String) throws -> Cost {
            let (module, function) = try function(parameters, "\(operation) return")
            return module.cost(of: function, .prompt(10))
        }
        // 3 candidates and 4 targets of 8 rows, a product of 5 columns each
        #expect(
            try cost("%x: f32[8, 5]", "%y = match_rows %x {merges = 2} : i32[8]")
                == Cost(flops: 3 * 4 * 2 * 5, bytesRead: 160, bytesWritten: 32))
        #expect(
            try cost("%i: i32[8], %w: f32[8]", "%y = segment_sizes %i, weights %w {count = 6} : f32[6]")
                == Cost(flops: 8, bytesRead: 64, bytesWritten: 24))
        #expect(try cost("%w: f32[8]", "%y = log %w : f32[8]") == Cost(flops: 8, bytesRead: 32, bytesWritten: 32))
        let means = try cost("%x: f32[8, 5], %i: i32[8], %w: f32[8]", "%y = segment_means %x, %i, weights %w {count = 6} : f32[6, 5]")
        #expect(means == Cost(flops: 80, bytesRead: 160 + 64, bytesWritten: 120))
    }
}
