import IR
import Testing

@testable import IRView

@Suite struct RowMergingCostTests {
    /// A prompt of ten rows, five of them an image's of which the decoder gets one: the rows behind each list are counted by what it is made of.
    @Test func prefusion() throws {
        let symbols = "symbol D <= 64 symbol P <= 64 symbol F <= 64"
        let (module, call) = try function(
            "%t: i32[T], %s: i32[T], %x: f32[T, 8]",
            """
            %kept = trim_rows %t {image = 5, first = 4, count = D} : i32[D]
            %list = prefusion_rows %t, slots %s {count = P} : i32[P]
            %own = gather_rows %t, %list : i32[P]
            %made = trim_rows %own {image = 5, first = 4, count = F} : i32[F]
            %a = gather_rows %x, %kept : f32[D, 8]
            %b = gather_rows %x, %list : f32[P, 8]
            %c = gather_rows %b, %made : f32[F, 8]
            %y = replace_rows %a, %c, at %made : f32[D, 8]
            return
            """, declarations: symbols)
        func written(_ shape: CallShape) -> [Int] { module.costs(of: call, shape).map(\.bytesWritten) }
        let words = [4, 4, 4, 4, 32, 32, 32, 32]
        #expect(written(.prompt(10, vision: 5)) == zip(words, [6, 10, 10, 6, 6, 10, 6, 6]).map { $0 * $1 })
        // Nothing is fused without an image.
        #expect(written(.prompt(10)) == zip(words, [10, 0, 0, 0, 10, 0, 0, 10]).map { $0 * $1 })
        let (other, resize) = try function("%p: f32[4, 8]", "%y = resize_grid %p {to = 3} : f32[9, 8] return")
        #expect(other.cost(of: resize, .prompt(10)) == Cost(flops: 32 * 72, bytesRead: 128, bytesWritten: 288))
    }

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
