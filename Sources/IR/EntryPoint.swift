/// A function that a program calls, by its name in IR text and in `lmmc_code` (Runtime/contract/program.h).
public enum EntryPoint: String, Sendable, Hashable, CaseIterable {
    /// An image to its taps
    case vision
    /// The taps to the image's vision tokens
    case project
    /// T tokens at position P to the logits of the last
    case prefill
    /// The token at position P to its logits
    case decode
    /// What `prefill` computes, with the logits of all rows. No function of a module: the plan derives it.
    case score

    /// Those that are functions of a module.
    public static let ofModule: [EntryPoint] = allCases.filter { $0 != .score }

    /// Those that a question goes through before the first token of its answer, in order.
    public static let ofQuestion: [EntryPoint] = [.vision, .project, .prefill]

    /// A number that is given with a call.
    public enum Symbol: String, Sendable, Hashable, CaseIterable {
        /// T: the length of the sequence that the call processes
        case sequence = "T"
        /// P: its position in the KV cache
        case position = "P"
    }

    public var symbols: [Symbol] {
        switch self {
        case .vision, .project: []
        case .prefill, .score: [.sequence, .position]
        case .decode: [.position]
        }
    }

    /// A place where a program gives an input or finds a result, by its name in IR text and in `lmmc_model`.
    public enum Region: String, Sendable, Hashable, CaseIterable {
        /// u8 [S, S, 3]
        case image
        /// f32 [N, hidden]: the vision tokens of one image
        case projected
        /// f32 [R, hidden]: the vision tokens of all images of a question
        case visionRows = "vision_rows"
        /// i32 [T]; -1 - r stands for row r of the vision rows
        case tokens
        /// f32 [1, V]
        case logits
        /// f32 [T, V]
        case scores
    }

    /// Where the parameters of its function stand, in their order; the vision rows are absent from a decoder alone. `project` reads the
    /// results of `vision` where that left them.
    public var inputs: [Region] {
        switch self {
        case .vision: [.image]
        case .project: []
        case .prefill, .decode, .score: [.tokens, .visionRows]
        }
    }

    /// Where the result stands; nil for the taps, which only `project` reads.
    public var result: Region? {
        switch self {
        case .vision: nil
        case .project: .projected
        case .prefill, .decode: .logits
        case .score: .scores
        }
    }
}

extension FunctionBuilder {
    /// The function of an entry point, which is given P where that is.
    public init(_ entry: EntryPoint, parameters: [Parameter], in module: Module) {
        self.init(entry.rawValue, parameters: parameters, hasPosition: entry.symbols.contains(.position), in: module)
    }
}

extension Parameter {
    /// What stands in a region, under its name.
    public init(_ region: EntryPoint.Region, type: TensorType) { self.init(name: region.rawValue, type: type) }
}

extension Operand {
    /// The parameter that stands in a region.
    public static func region(_ region: EntryPoint.Region) -> Operand { .value(region.rawValue) }
}

extension Module {
    public func function(_ entry: EntryPoint) -> Function? { function(named: entry.rawValue) }
}
