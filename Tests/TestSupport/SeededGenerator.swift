/// SplitMix64, so that a random test can be repeated on any machine by its seed.
public struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    /// Seeded by the FNV-1a hash of a name.
    public init(name: String) {
        self.init(seed: name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 })
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// `count` values in -1...1 that depend on the name and the index alone.
    public static func noise(_ name: String, _ count: Int) -> [Float] {
        var generator = SeededGenerator(name: name)
        return (0..<count).map { _ in Float(Int32(truncatingIfNeeded: generator.next() >> 32)) / 2_147_483_648 }
    }
}
