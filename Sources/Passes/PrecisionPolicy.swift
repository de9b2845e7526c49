import IR
import Support

/// Arithmetic of products by weights. The order is that of the command line.
public enum Precision: String, Sendable, Hashable, CaseIterable {
    case float32 = "f32"
    case bfloat16 = "bf16"
    case int8
    case int4

    /// How products in this precision take their weight and their rows; nil for both as they are.
    var forms: (panels: PanelType, rows: RowType)? {
        switch self {
        case .float32: nil
        case .bfloat16: (.bfloat16, .bfloat16)
        case .int8: (.int8, .int8)
        case .int4: (.int4, .int8)
        }
    }
}

/// Which precision the products by each weight get.
public struct PrecisionPolicy: Sendable, Hashable {
    /// The products by weights of which a name fits `pattern` get `precision`.
    public struct Override: Sendable, Hashable {
        /// `*` stands for any characters, `?` for one.
        public var pattern: String
        public var precision: Precision

        public init(pattern: String, precision: Precision) {
            self.pattern = pattern
            self.precision = precision
        }
    }

    /// What a cache of keys or values holds.
    public typealias CacheType = KeyValueType

    public var base: Precision
    public var cache: CacheType
    /// The last that fits wins.
    public var overrides: [Override]
    /// Names by which patterns may mean each weight that a product or an embedding of the imported module reads, by that weight's own name
    public var names: [String: [String]] = [:]
    /// Norms whose inputs' channels were measured: the source of each one's magnitudes, f32[C], by the norm's name
    public var calibration: [String: SourceTensor] = [:]

    /// `cache` nil: f32 with f32, else bf16.
    public init(_ base: Precision, cache: CacheType? = nil, overrides: [Override] = []) {
        self.base = base
        self.cache = cache ?? (base == .float32 ? .float32 : .bfloat16)
        self.overrides = overrides
    }

    public var isFloat32: Bool { base == .float32 && cache == .float32 && overrides.allSatisfy { $0.precision == .float32 } }

    /// Whether rows are rounded to 8 bits before most products.
    public var roundsRows: Bool { base == .int8 || base == .int4 }

    /// Weights from this size on are int4 with `int4` wherever they stand: there memory decides.
    static let largeElementCount = 1 << 28

    /// The precision of products by `weight`, which has the role and `elementCount` elements.
    ///
    /// With `int8` the head is bf16: it decides between near ties, was seen to cost half of all that int8 costs in perplexity, and is 2 % of
    /// what a 7B decoder reads per token. `int4` is for what decoding reads once per token, the decoder's layers, where bytes are time. The vision tower and the projector are
    /// bound by arithmetic, which is the same in int8; they and the head stay int8.
    /// `names`, where overrides may mean it by others than its own.
    public func precision(of weight: String, role: WeightRole, elementCount: Int, names: [String]? = nil) -> Precision {
        if let chosen = chosen(for: names ?? [weight]) { return chosen }
        if base == .int4, role != .decoderLayer, elementCount < Self.largeElementCount { return .int8 }
        // A product by the table is that of a tied head.
        return base == .int8 && (role == .head || role == .embedding) ? .bfloat16 : base
    }

    /// The precision of the embedding's table where it is not the head too. One row is read per token, so only the file's size is at stake:
    /// never below int8.
    public func embeddingPrecision(of weight: String, names: [String]? = nil) -> Precision {
        if let chosen = chosen(for: names ?? [weight]) { return chosen }
        return base == .int4 ? .int8 : base
    }

    static func fits(_ name: String, _ pattern: String) -> Bool {
        let (name, pattern) = (Array(name.utf8), Array(pattern.utf8))
        var (n, p) = (0, 0)
        /// Where the last star stands, and what it has taken so far
        var star: (pattern: Int, name: Int)?
        while n < name.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                star = (p, n)
                p += 1
            } else if p < pattern.count, pattern[p] == UInt8(ascii: "?") || pattern[p] == name[n] {
                (n, p) = (n + 1, p + 1)
            } else if let last = star {
                star = (last.pattern, last.name + 1)
                (n, p) = (last.name + 1, last.pattern + 1)
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}
