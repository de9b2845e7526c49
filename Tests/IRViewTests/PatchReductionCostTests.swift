import IR
import Testing

@testable import IRView

@Suite struct PatchReductionCostTests {
    private func cost(_ parameters: String, _ operation: String, declarations: String = "") throws -> Cost {
        let (module, function) = try function(parameters, "\(operation) return", declarations: declarations)
        return try #require(module.costs(of: function, .prompt(10)).last)
    }

    @Test func scoresAndCosines() throws {
        // Each score is computed twice: 4 * 8, and 4 for each of 2 heads.
        #expect(
            try cost("%q: f32[1, 8], %k: f32[9, 8]", "%y = row_attention %q, %k {heads = 2, scale = 0.5} : f32[9]")
                == Cost(flops: 9 * (32 + 8), bytesRead: 80 * 4, bytesWritten: 36))
        #expect(
            try cost("%x: f32[9, 8]", "%y = cluster_rows %x {step = 4, count = 2} : i32[9]")
                == Cost(flops: 2 * 2 * 9 * 8, bytesRead: 72 * 4, bytesWritten: 36))
        #expect(try cost("%x: f32[9, 8]", "%y = mean_heads %x {heads = 2} : f32[9, 4]").flops == 72)
        #expect(try cost("%x: f32[9, 8]", "%y = unit_rows %x {epsilon = 1.0} : f32[9, 8]").flops == 3 * 72)
    }

    /// A prompt of 10 rows of which 6 are an image's; both kinds are counted whichever comes first.
    @Test func rowsOfAKindAreCounted() throws {
        let parameters = "%x: f32[T, 8], %t: i32[T], %s: i32[T]", symbols = "symbol X <= 64 symbol W <= 64"
        for kinds in [["text", "vision"], ["vision", "text"]] {
            let lists = kinds.map {
                "%\($0) = split_rows %t, slots %s {kind = \($0), count = \($0 == "text" ? "X" : "W")} : i32[\($0 == "text" ? "X" : "W")]"
            }
            let (module, function) = try function(
                parameters,
                (lists + ["%xt = gather_rows %x, %text : f32[X, 8]", "%xi = gather_rows %x, %vision : f32[W, 8]", "return"]).joined(
                    separator: " "),
                declarations: symbols)
            let costs = module.costs(of: function, .prompt(10, vision: 6))
            #expect(costs[0] == Cost(bytesRead: 80, bytesWritten: kinds[0] == "text" ? 16 : 24))
            #expect(costs[2].bytesWritten == 4 * 32 && costs[3].bytesWritten == 6 * 32)
        }
    }

    /// Each of 4 patches with 3 rows of text and a window of 9, in one of two heads of 4 columns.
    @Test func patchesSeeTextAndTheirWindow() throws {
        let cost = try cost(
            "%q: f32[4, 8], %k: f32[4, 8], %r: i32[4], %t: f32[3, 8], %u: i32[3]",
            "%y = patch_attention %q, %k, %k, rows %r, slots %r, text_keys %t, text_values %t, text_rows %u, text_slots %u "
                + "{mask = [1, 0], kv_heads = 2, scale = 0.5, window = 3, side = 5} : f32[4, 8]")
        #expect(cost == Cost(flops: 4 * (3 + 9) * (4 * 4 + 4), bytesRead: (3 * 32 + 2 * 24 + 2 * 4 + 2 * 3) * 4, bytesWritten: 32 * 4))
        #expect(try self.cost("%x: f32[4, 8]", "%y = mask_heads %x {mask = [1, 0]} : f32[4, 8]") == Cost(bytesRead: 128, bytesWritten: 128))
    }

    @Test func listsTakeNoArithmetic() throws {
        #expect(
            try cost("%x: f32[9]", "%y = top_rows %x {rows = 2, order = index} : i32[2]") == Cost(bytesRead: 36, bytesWritten: 8))
        #expect(try cost("%i: i32[2]", "%y = complement_rows %i {of = 9} : i32[7]") == Cost(bytesRead: 8, bytesWritten: 28))
    }

    /// What is counted is taken for the most that it can be.
    @Test func merging() throws {
        let cost = try cost(
            "%x: f32[8, 3], %k: f32[8, 5], %a: f32[8]",
            """
            %o = outlier_rows %a {factor = 1.5, count = O} : i32[O] %r = complement_rows %o {of = 8} : i32[8 - O]
            %y = merge_neighbours %x, %k, weights %a, kept %o, rest %r {neighbours = 4} : f32[O + 1, 3]
            """, declarations: "symbol O <= 2")
        #expect(cost.flops == 2 * 2 * 8 * 5 + 2 * (2 * 4 + 8) * 3)
        #expect(cost.bytesWritten == 3 * 3 * 4)
        #expect(
            try self.cost("%x: f32[8, 3], %s: i32[8]", "%y = segment_means %x, %s {count = 2} : f32[2, 3]")
                == Cost(flops: 24, bytesRead: (24 + 8) * 4, bytesWritten: 24))
    }
}
