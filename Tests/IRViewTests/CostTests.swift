import IR
import Testing

@testable import IRView

@Suite struct CostTests {
    private func cost(
        _ parameters: String, _ operation: String, declarations: String = "", _ call: CallShape = .prompt(10)
    ) throws -> Cost {
        let (module, function) = try function(parameters, "\(operation) return", declarations: declarations)
        return try #require(module.costs(of: function, call).last)
    }

    @Test func matmul() throws {
        let plain = try cost("%x: f32[T, 4], %w: f32[6, 4]", "%y = matmul %x, %w : f32[T, 6]")
        #expect(plain == Cost(flops: 10 * 6 * 2 * 4, bytesRead: (10 * 4 + 6 * 4) * 4, bytesWritten: 10 * 6 * 4))
        let full = try cost(
            "%x: f32[2, 4], %w: f32[6, 4], %b: f32[6], %a: f32[2, 6]",
            "%y = matmul %x, %w, bias %b, addend %a {activation = silu} : f32[2, 6]")
        #expect(full == Cost(flops: 2 * 6 * (2 * 4 + 3), bytesRead: (8 + 24 + 6 + 12) * 4, bytesWritten: 12 * 4))
    }

    @Test func attentionOverValues() throws {
        let cost = try cost(
            "%q: f32[3, 8], %k: f32[5, 4], %v: f32[5, 4]", "%y = attention %q, %k, %v {heads = 2, kv_heads = 1, scale = 0.5} : f32[3, 8]")
        // 15 pairs: 2 * 8 for the scores, 2 * 8 for the values, 4 for each of 2 heads
        #expect(cost == Cost(flops: 15 * (32 + 8), bytesRead: (24 + 40) * 4, bytesWritten: 24 * 4))
        let biased = try self.cost(
            "%q: f32[3, 8], %k: f32[5, 4], %v: f32[5, 4], %b: f32[5]",
            "%y = attention %q, %k, %v, bias %b {heads = 2, kv_heads = 1, scale = 0.5} : f32[3, 8]")
        #expect(biased == Cost(flops: 15 * (32 + 10), bytesRead: (24 + 40 + 5) * 4, bytesWritten: 24 * 4))
    }

    /// A query sees the keys of its window.
    @Test func attentionInWindows() throws {
        let cost = try cost(
            "%q: f32[6, 8], %k: f32[24, 8], %v: f32[24, 8]",
            "%y = window_attention %q, %k, %v {heads = 2, scale = 0.5, grid = [4, 6], kernel = 2} : f32[6, 8]")
        #expect(cost == Cost(flops: 6 * 4 * (32 + 8), bytesRead: (48 + 192 + 192) * 4, bytesWritten: 48 * 4))
    }

    /// A prompt sees the triangle under the diagonal; one token sees the rows behind which it stands, and its own. Whatever slots and rows the
    /// caches have.
    @Test func attentionOverCaches() throws {
        let parameters = "%q: f32[T, 8], %s: i32[T]"
        for (slots, width) in [(1, "8"), (5, "8"), (5, "4")] {
            let caches = "state &k : f32[\(slots), 64, \(width)] state &v : f32[\(slots), 64, \(width)]"
            let operation =
                "%y = attention %q, &k, &v, slots %s, places %s {heads = 2, kv_heads = \(width == "8" ? 2 : 1), scale = 0.5} : f32[T, 8]"
            let keys = 2 * 10 * Int(width)!
            let prompt = try cost(parameters, operation, declarations: caches)
            #expect(prompt == Cost(flops: 55 * (32 + 8), bytesRead: (80 + keys) * 4, bytesWritten: 80 * 4))
            let token = try cost(parameters, operation, declarations: caches, .token(behind: 9))
            #expect(token == Cost(flops: 10 * (32 + 8), bytesRead: (8 + keys) * 4, bytesWritten: 8 * 4))
        }
        // A byte for each element of q8h, whose heads stand apart.
        let token = try cost(
            parameters, "%y = attention %q, &k, &v, slots %s, places %s {heads = 2, kv_heads = 2, scale = 0.5} : f32[T, 8]",
            declarations: "state &k : q8h[3, 64, 2, 4] state &v : q8h[3, 64, 2, 4]", .token(behind: 9))
        #expect(token == Cost(flops: 10 * (32 + 8), bytesRead: 8 * 4 + 2 * 10 * 8, bytesWritten: 8 * 4))
    }

    @Test func movement() throws {
        #expect(try cost("%x: f32[2, 6]", "%y = reshape %x {shape = [3, 4]} : f32[3, 4]") == Cost())
        #expect(
            try cost("%x: f32[8, 6]", "%y = slice %x {axis = 0, start = 1, count = 2} : f32[2, 6]") == Cost(bytesRead: 48, bytesWritten: 48)
        )
        #expect(
            try cost("%t: i32[T], %w: f32[99, 3]", "%y = embed %t, %w : f32[T, 3]") == Cost(bytesRead: 40 + 120, bytesWritten: 120))
        #expect(
            try cost("%x: f32[T, 3], %i: i32[T]", "cache_store &c, %x, %i, %i as s", declarations: "state &c : f32[9, 64, 3]")
                == Cost(bytesRead: 120, bytesWritten: 120))
        #expect(
            try cost("%i: i32[T]", "%p = reserve &n, %i : i32[T]", declarations: "state &n : i32[9]")
                == Cost(bytesRead: 36 + 40, bytesWritten: 40))
        // At most all rows of 3 floats move in a cache.
        #expect(
            try cost("%i: i32[T]", "cache_keep &c, &n, %i, %i as s", declarations: "state &c : f32[9, 64, 3] state &n : i32[9]")
                == Cost(bytesRead: 120 + 80, bytesWritten: 120))
        #expect(
            try cost("%i: i32[T]", "release &n, %i, %i as s", declarations: "state &n : i32[9]")
                == Cost(bytesRead: 36 + 80, bytesWritten: 36))
        // S is 1: the row that is wanted.
        #expect(try cost("%x: f32[T, 3], %i: i32[S]", "%y = gather_rows %x, %i : f32[S, 3]") == Cost(bytesRead: 4 + 12, bytesWritten: 12))
        #expect(try cost("%x: f32[2*T + 1, 3]", "%y = scale %x {factor = 2.0} : f32[2*T + 1, 3]").flops == 63)
    }

    /// Each pair of patches of a window has a product; what merges is added up.
    @Test func windowsThatMerge() throws {
        let found = try cost(
            "%x: f32[16, 3]", "%y = similar_windows %x {window = 2, similarity = 0.5, count = V} : i32[V]", declarations: "symbol V <= 16")
        #expect(found == Cost(flops: 4 * 6 * 2 * 3, bytesRead: 16 * 3 * 4, bytesWritten: 16 * 4))
        let means = try cost("%x: f32[16, 3], %l: i32[7]", "%y = window_means %x, %l {window = 2} : f32[7, 3]")
        #expect(means == Cost(flops: 48, bytesRead: (48 + 7) * 4, bytesWritten: 21 * 4))
    }

    @Test func elementwise() throws {
        #expect(try cost("%x: f32[2, 3]", "%y = scale %x {factor = 2.0} : f32[2, 3]") == Cost(flops: 6, bytesRead: 24, bytesWritten: 24))
        #expect(try cost("%x: f32[2, 3], %s: f32[3]", "%y = rms_norm %x, %s {epsilon = 0.1} : f32[2, 3]").flops == 24)
        let pooled = "%y = average_windows %x {grid = [4, 8], kernel = 4"
        #expect(try cost("%x: f32[32, 3]", pooled + "} : f32[2, 3]").flops == 6 * 16)
        #expect(try cost("%x: f32[32, 3]", pooled + ", margin = 1} : f32[2, 3]").flops == 6 * 4)
    }

    /// Numbers past 64 bits stay at the largest.
    @Test func overflow() throws {
        let cost = try cost(
            "%x: f32[1000000000, 1000000], %w: f32[1000000000, 1000000]", "%y = matmul %x, %w : f32[1000000000, 1000000000]")
        #expect(cost == Cost(flops: .max, bytesRead: 8_000_000_000_000_000, bytesWritten: 4_000_000_000_000_000_000))
        #expect(cost + cost == Cost(flops: .max, bytesRead: 16_000_000_000_000_000, bytesWritten: 8_000_000_000_000_000_000))
    }

    @Test func sizesAsText() {
        #expect(flopsText(999) == "999" && flopsText(1000) == "1.0000 k" && flopsText(13_543_210_000_000) == "13.543 T")
        #expect(flopsText(366_920_000_000) == "366.92 G" && flopsText(.max) == "9.2234 E")
        #expect(
            flopsText(0, digits: 3) == "0" && flopsText(1000, digits: 3) == "1.00 k" && flopsText(366_920_000_000, digits: 3) == "367 G")
        #expect(flopsText(99_949, digits: 3) == "99.9 k" && flopsText(99_950, digits: 3) == "100 k")
        #expect(flopsText(999_499, digits: 3) == "999 k" && flopsText(999_500, digits: 3) == "1.00 M")
    }
}
