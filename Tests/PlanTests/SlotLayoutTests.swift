import IR
import IRText
import Support
import Testing

@testable import Plan

/// Where the caches of several sequences lie.
@Suite struct SlotLayoutTests {
    private func module(_ states: [String], stores: [String]) throws -> Module {
        let body = stores.joined(separator: "\n") + "\n" + logits("%x")
        return try parseModule(step(body, states: states.map { "  state \($0)\n" }.joined()), file: "test.ir")
    }

    private func layout(_ states: [String], stores: [String]) throws -> SlotLayout { try SlotLayout(module(states, stores: stores)) }

    private func message(_ states: [String], stores: [String]) throws -> String {
        let module = try module(states, stores: stores)
        do throws(Diagnostic) {
            _ = try makePlan(module)
            return "no error"
        } catch {
            return error.rendered
        }
    }

    /// A block whose keys and values are `type`.
    private func block(_ name: String, _ type: String, slots: Int = 3) -> [String] {
        ["&\(name).keys : \(type)", "&\(name).values : \(type)", "&\(name).lengths : i32[\(slots)]"]
    }

    private func stores(_ name: String) -> [String] {
        ["    %\(name).places = reserve &\(name).lengths, %slots : i32[T]"]
            + ["keys", "values"].map { "    cache_store &\(name).\($0), %x, %slots, %\(name).places as \(name).\($0).store" }
    }

    @Test func cachesOfASlotLieTogether() throws {
        let slots = try layout(
            block("a", "f32[3, 10, 8]") + block("b", "bf16[3, 10, 8]") + block("c", "q8h[3, 10, 2, 4]"),
            stores: stores("a") + stores("b") + stores("c"))
        #expect(slots.count == 3 && slots.context == 10)
        #expect(slots.caches.map(\.name) == ["a.keys", "a.values", "b.keys", "b.values", "c.keys", "c.values"])
        // Rows of 8 floats, of 8 bf16, and of 8 codes with 2 scales, filled up to 64 bytes; each cache at a multiple of 64.
        #expect(slots.caches.map(\.rowBytes) == [32, 32, 16, 16, 64, 64])
        #expect(slots.caches.map(\.offset) == [0, 320, 640, 832, 1024, 1664])
        #expect(slots.caches.map(\.block) == [0, 0, 1, 1, 2, 2] && slots.lengths == ["a.lengths", "b.lengths", "c.lengths"])
        #expect(slots.byteCount == 4096 && slots.alignment == 4096)
        #expect(slots.cacheBytes == 10 * 2 * (32 + 16 + 64))
        #expect(slots.strides(of: "b.keys", TensorType(.bfloat16, fixed: [3, 10, 8])) == [2048, 8, 1])
        #expect(slots.strides(of: "c.keys", TensorType(.int8Heads, fixed: [3, 10, 2, 4])) == [4096, 64, 1])
        #expect(slots.strides(of: "a.lengths", TensorType(.int32, fixed: [3])) == nil)
    }

    /// Whole pages below 2 MiB, and whole huge pages from there on.
    @Test(arguments: [
        (1, 4096), (63, 4096), (64, 4096), (65, 8192), (32767, 2_097_152), (32768, 2_097_152), (32769, 4_194_304), (98304, 6_291_456),
    ]) func slotsAreWholePages(_ context: Int, _ bytes: Int) throws {
        // 64 bytes a position
        let slots = try layout(block("a", "f32[3, \(context), 8]"), stores: stores("a"))
        #expect(slots.cacheBytes == 64 * context && slots.byteCount == bytes)
        #expect(slots.alignment == (bytes < 2 << 20 ? 4096 : 2 << 20))
    }

    /// Slots end the arena, from a place on that is a multiple of what they are; lengths lie side by side at its beginning.
    @Test(arguments: [10, 40000]) func slotsEndTheArena(_ context: Int) throws {
        let type = "f32[3, \(context), 8]"
        let plan = try makePlan(try module(block("a", type) + block("b", type), stores: stores("a") + stores("b")))
        let slots = plan.slots
        let regions = Dictionary(uniqueKeysWithValues: plan.regions.map { ($0.name, $0) })
        #expect(regions["a.lengths"]?.offset == 0 && regions["b.lengths"]?.offset == 3 * 4 && regions["b.lengths"]?.byteCount == 3 * 4)
        let first = try #require(regions["a.keys"]?.offset)
        #expect(first % slots.alignment == 0 && plan.arenaBytes == first + 3 * slots.byteCount)
        for cache in slots.caches {
            #expect(regions[cache.name]?.offset == first + cache.offset && regions[cache.name]?.byteCount == context * 32, "\(cache.name)")
        }
        // Nothing else lies there, and regions are in the order of their offsets and disjoint.
        for (a, b) in zip(plan.regions, plan.regions.dropFirst()) { #expect(a.offset + a.byteCount <= b.offset, "\(a.name), \(b.name)") }
        let others = plan.regions.filter { region in !slots.caches.contains { $0.name == region.name } }
        #expect(
            others.allSatisfy { $0.offset + $0.byteCount <= first }
                && first - (others.map { $0.offset + $0.byteCount }.max() ?? 0) < slots.alignment)
        #expect(plan.resident.cache == 4 * 32 * context)  // keys and values of two blocks, 8 floats a row
    }

    /// Blocks may keep rows of their own, or count them together.
    @Test func cachesOfOneReserveAreOneBlock() throws {
        let slots = try layout(
            ["&k : f32[3, 10, 8]", "&v : f32[3, 10, 8]", "&lengths : i32[3]", "&other : f32[3, 10, 8]", "&more : i32[3]"],
            stores: [
                "    %p = reserve &lengths, %slots : i32[T]", "    %q = reserve &more, %slots : i32[T]",
                "    cache_store &k, %x, %slots, %p as k.store", "    cache_store &other, %x, %slots, %q as other.store",
                "    cache_store &v, %x, %slots, %p as v.store",
            ])
        #expect(slots.caches.map(\.block) == [0, 0, 1] && slots.lengths == ["lengths", "more"])
    }

    /// Rows of a call may go into a cache one kind after the other, each with its slots and places.
    @Test func rowsOfAReserveAreGatheredWithTheirSlots() throws {
        func stored(_ slots: String) -> [String] {
            [
                "    %p = reserve &a, %slots : i32[T]", "    %q = gather_rows %p, %positions : i32[T]",
                "    %s = gather_rows %slots, %positions : i32[T]", "    %t = gather_rows %slots, %tokens : i32[T]",
                "    cache_store &k, %x, %\(slots), %q as store",
                "    %seen = attention %x, &k, &k, slots %\(slots), places %q {heads = 1, kv_heads = 1, scale = 0.5} : f32[T, 8]",
            ]
        }
        let states = ["&k : f32[3, 10, 8]", "&a : i32[3]"]
        #expect(try layout(states, stores: stored("s")).lengths == ["a"])
        for slots in ["slots", "t"] {
            #expect(
                try message(states, stores: stored(slots))
                    == "error: the slots and places of '&k' are not those of one 'reserve', at operation 'step: %store'")
        }
    }

    /// What leaves a block's caches are rows that its `reserve` gave places, of all its caches the same.
    @Test func cutsFollowTheirBlock() throws {
        let states = block("a", "f32[3, 10, 8]") + block("b", "f32[3, 10, 8]"), both = stores("a") + stores("b")
        func cut(_ steps: String...) throws -> String { try message(states, stores: both + steps.map { "    \($0)" }) }
        let keys = "cache_keep &a.keys, &a.lengths, %slots, %positions as k", release = "release &a.lengths, %slots, %positions as r"
        let values = "cache_keep &a.values, &a.lengths, %slots, %positions as v"
        #expect(try cut(keys, values, release) == "no error")
        #expect(
            try cut(keys, release)
                == "error: '&a.lengths' gives back rows that '&a.values' holds, at operation 'step: %r'; expected a 'cache_keep' of it before"
        )
        #expect(
            try cut("cache_keep &b.keys, &a.lengths, %slots, %positions as k")
                == "error: '&a.lengths' does not count the rows of '&b.keys', or they have moved, at operation 'step: %k'")
        #expect(
            try cut(keys, "cache_keep &a.keys, &a.lengths, %slots, %positions as again")
                == "error: '&a.lengths' does not count the rows of '&a.keys', or they have moved, at operation 'step: %again'")
        #expect(
            try cut(keys, "cache_keep &a.values, &a.lengths, %slots, %tokens as v")
                == "error: '&a.lengths' keeps other rows than before, at operation 'step: %v'")
        #expect(
            try cut(keys, values, release, "release &a.lengths, %slots, %positions as again")
                == "error: '&a.lengths' keeps other rows than before, at operation 'step: %again'")
        #expect(
            try cut("cache_keep &a.keys, &a.lengths, %tokens, %positions as k")
                == "error: 'cache_keep' takes '%tokens' for slots, at operation 'step: %k'; expected those of a 'reserve' before it")
    }

    @Test func errors() throws {
        #expect(try message(block("a", "f32[3, 10, 8]"), stores: stores("a")) == "no error")
        #expect(try message([], stores: []) == "no error")
        // A cache that nothing fills
        #expect(
            try message(["&k : f32[3, 10, 8]"], stores: []) == "error: no 'cache_store' fills the cache '&k', at operation '&k'")
        // Places that no reserve gave
        #expect(
            try message(["&k : f32[3, 10, 8]"], stores: ["    cache_store &k, %x, %slots, %positions as s"])
                == "error: the slots and places of '&k' are not those of one 'reserve', at operation 'step: %s'")
        // and of two
        #expect(
            try message(
                ["&k : f32[3, 10, 8]", "&a : i32[3]", "&b : i32[3]"],
                stores: [
                    "    %p = reserve &a, %slots : i32[T]", "    %q = reserve &b, %slots : i32[T]",
                    "    cache_store &k, %x, %slots, %p as s", "    cache_store &k, %x, %slots, %q as t",
                ]) == "error: the slots and places of '&k' are not those of one 'reserve', at operation 'step: %t'")
        // Slots that are not those of the places
        #expect(
            try message(
                ["&k : f32[3, 10, 8]", "&a : i32[3]"],
                stores: ["    %p = reserve &a, %slots : i32[T]", "    cache_store &k, %x, %tokens, %p as s"])
                == "error: the slots and places of '&k' are not those of one 'reserve', at operation 'step: %s'")
        // Slots that no call gives
        #expect(
            try message(["&a : i32[3]"], stores: ["    %p = reserve &a, %tokens : i32[T]"])
                == "error: 'reserve' takes '%tokens' for slots, at operation 'step: %p'; expected the slots of 'step'")
        // Lengths that grow twice
        #expect(
            try message(["&a : i32[3]"], stores: ["    %p = reserve &a, %slots : i32[T]", "    %q = reserve &a, %slots : i32[T]"])
                == "error: '&a' is reserved a second time, at operation 'step: %q'; expected lengths of its own for each block")
        // Lengths that no cache follows
        #expect(
            try message(["&a : i32[3]"], stores: ["    %p = reserve &a, %slots : i32[T]"])
                == "error: no cache has rows at the places that '&a' counts, at operation '&a'")
        // An attention at positions, and at the places of another block
        for places in ["positions", "b.places"] {
            #expect(
                try message(
                    block("a", "f32[3, 10, 8]") + block("b", "f32[3, 10, 8]"),
                    stores: stores("a") + stores("b") + [
                        "    %seen = attention %x, &a.keys, &a.values, slots %slots, places %\(places) "
                            + "{heads = 1, kv_heads = 1, scale = 0.5} : f32[T, 8]"
                    ])
                    == "error: 'attention' sees caches at slots and places that are not those of their 'reserve', at operation 'step: %seen'"
            )
        }
        // Lengths of another number of slots
        #expect(
            try message(block("a", "f32[3, 10, 8]", slots: 2), stores: stores("a"))
                == "error: the lengths '&a.lengths' do not count 3 slots, at operation '&a.lengths'; expected i32[3]")
        // Caches of another number of slots, or of rows
        for type in ["f32[2, 10, 8]", "f32[3, 9, 8]"] {
            #expect(
                try message(
                    block("a", "f32[3, 10, 8]") + block("b", type, slots: type.contains("[2") ? 2 : 3), stores: stores("a") + stores("b"))
                    == "error: the cache '&b.keys' is \(type), at operation '&b.keys'; expected 3 slots of 10 rows, as before")
        }
    }

    @Test func overflow() throws {
        // A slot
        #expect(
            try message(block("a", "f32[1, 200000000000000000, 8]", slots: 1), stores: stores("a")) == "error: the caches pass 2^63 bytes")
        // All of them
        #expect(
            try message(block("a", "f32[4000, 50000000000000, 8]", slots: 4000), stores: stores("a")) == "error: the caches pass 2^63 bytes"
        )
    }
}
