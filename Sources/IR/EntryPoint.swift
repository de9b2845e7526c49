/// A function that a program calls, by its name in IR text and in `lmmc_code` (Runtime/contract/program.h).
public enum EntryPoint: String, Sendable, Hashable, CaseIterable {
    /// An image to its taps
    case vision
    /// The taps to the image's vision tokens
    case project
    /// T rows of any sequences, each with its token, slot and position, to the logits of the S rows that are wanted. Prefill of a prompt, a
    /// step of a batch and scoring of a text are calls of it
    case step
    /// What `step` computes of one row whose logits are wanted. No function of a module: the plan derives it
    case decode

    /// Those that are functions of a module.
    public static let ofModule: [EntryPoint] = allCases.filter { $0 != .decode }

    /// Those that a question goes through before the first token of its answer, in order.
    public static let ofQuestion: [EntryPoint] = [.vision, .project, .step]

    /// A count that is given with a call, by the name of its symbol.
    public enum Count: String, Sendable, Hashable, CaseIterable {
        /// T: the rows that the call processes
        case rows = "T"
        /// S: those of them whose logits are wanted
        case wanted = "S"
    }

    /// Q: the tokens of the question that `project` reads. The number stands in the arena.
    public static let question = "Q"

    public var counts: [Count] {
        switch self {
        case .vision, .project, .decode: []
        case .step: [.rows, .wanted]
        }
    }

    /// A place where a program gives an input or finds a result, by its name in IR text and in `lmmc_model`.
    public enum Region: String, Sendable, Hashable, CaseIterable {
        /// u8 [S, S, 3]
        case image
        /// i32 [Q]: tokens of what the user asked, of a reducer that reads the question
        case question
        /// i32 [4]: rows of pixels above and below and columns left and right that pad the image
        case bars
        /// f32 [N, hidden]: the vision tokens of one image
        case projected
        /// i32 [N]: 1 for those of them that no threshold of a reducer drops, else 0
        case keyRows = "key_rows"
        /// f32 [R, hidden]: the vision tokens of all images of a question
        case visionRows = "vision_rows"
        /// i32 [R]: which of them no threshold drops
        case protectedRows = "protected_rows"
        /// i32 [T]; -1 - r stands for row r of the vision rows
        case tokens
        /// i32 [T]: the sequence that each row belongs to
        case slots
        /// i32 [T]: where each row stands in its sequence, from 0 on
        case positions
        /// i32 [S]: the rows of the call whose logits are wanted
        case wanted
        /// f32 [S, V]
        case logits
        /// i32 [selected]: the patches of an image that a reducer has chosen, -1 behind the last
        case selected
        /// i32 [points, bound]: the vision rows that stay behind each place where a reducer drops some, -1 behind the last
        case kept
    }

    /// Where the parameters of its function stand, in their order; those at the end may be absent, as the vision rows of a decoder alone. `project`
    /// reads the results of `vision` first, where that left them.
    public var inputs: [Region] {
        switch self {
        case .vision: [.image]
        case .project: [.question, .bars]
        case .step, .decode: [.tokens, .slots, .positions, .wanted, .visionRows, .protectedRows]
        }
    }

    /// Where the results stand, in their order; those behind the first may be absent, as without a reducer. None for `vision`, whose results only `project` reads.
    public var results: [Region] {
        switch self {
        case .vision: []
        case .project: [.projected, .selected, .keyRows]
        case .step: [.logits, .kept]
        case .decode: [.logits]
        }
    }
}

extension FunctionBuilder {
    /// The function of an entry point.
    public init(_ entry: EntryPoint, parameters: [Parameter], in module: Module) {
        self.init(entry.rawValue, parameters: parameters, in: module)
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
