import IR
import IRView
import Support

/// A machine to judge: what it has, and what its arithmetic and its memory do in a second.
public struct Box: Sendable {
    /// In bytes
    public var memory: Int?
    /// Bytes per second
    public var bandwidth: Double?
    /// FLOPs per second
    public var compute: Double?

    /// As written on the command line: `8GiB`, `30GB/s`, `500GFLOPS`.
    public init(memory: String?, bandwidth: String?, compute: String?) throws(Diagnostic) {
        self.memory = try memory.map { text throws(Diagnostic) in
            let bytes = try Self.quantity(text, units: ["B", ""], option: "--memory", expected: "a size such as '8GiB'")
            guard bytes < 0x1p62 else { throw .usage("\(quoted(text)) is too large", at: .option("--memory"), expected: "less than 4 EiB") }
            return Int(bytes)
        }
        self.bandwidth = try bandwidth.map { text throws(Diagnostic) in
            try Self.quantity(text, units: ["B/s", "B"], option: "--bandwidth", expected: "a rate such as '30GB/s'")
        }
        self.compute = try compute.map { text throws(Diagnostic) in
            try Self.quantity(text, units: ["FLOPS", "FLOP/s", "OPS"], option: "--compute", expected: "a rate such as '500GFLOPS'")
        }
        if (self.bandwidth == nil) != (self.compute == nil) {
            let absent = self.bandwidth == nil ? "--bandwidth" : "--compute"
            throw .usage(
                "a time needs both bandwidth and compute", at: .option(absent),
                expected: absent == "--compute" ? "'500GFLOPS', say" : "'30GB/s', say")
        }
    }

    public var isGiven: Bool { memory != nil || bandwidth != nil }

    /// A positive number, a prefix of powers of 1000 or with `i` of 1024, and one of `units`; with "" among them a prefix will do.
    private static func quantity(_ text: String, units: [String], option: String, expected: String) throws(Diagnostic) -> Double {
        let digits = text.prefix { $0.isASCII && $0.isNumber || $0 == "." }
        var rest = text.dropFirst(digits.count).drop { $0 == " " }.lowercased()
        guard let number = Double(digits), number > 0, number.isFinite else {
            throw .usage("\(quoted(text)) is no such quantity", at: .option(option), expected: expected)
        }
        guard !rest.isEmpty else { throw .usage("\(quoted(text)) has no unit", at: .option(option), expected: expected) }
        guard let unit = units.first(where: { rest.hasSuffix($0.lowercased()) }) else {
            throw .usage("\(quoted(text)) is no such quantity", at: .option(option), expected: expected)
        }
        rest.removeLast(unit.count)
        let isBinary = rest.hasSuffix("i")
        if isBinary { rest.removeLast() }
        guard let power = ["", "k", "m", "g", "t", "p"].firstIndex(of: rest), power > 0 || !isBinary else {
            throw .usage("\(quoted(text)) is no such quantity", at: .option(option), expected: expected)
        }
        return (0..<power).reduce(number) { value, _ in value * (isBinary ? 1024 : 1000) }
    }
}

/// The work of a prompt with one image, stage by stage, and of a token of the answer.
struct StageCosts {
    /// Vision tokens; 0 without a tower.
    let visionTokens: Int
    /// Text tokens that the prompt has beside them
    let textTokens: Int
    let vision: Int
    let projector: Int
    let prefillVision: Int
    let prefillText: Int
    /// The first token behind the prompt
    let decode: Int

    init(_ module: Module, visionTokens: Int, textTokens: Int) {
        func flops(_ entry: EntryPoint, _ call: CallShape) -> Int {
            module.function(entry).map { module.cost(of: $0, call).flops } ?? 0
        }
        (self.visionTokens, self.textTokens) = (visionTokens, textTokens)
        vision = flops(.vision, .prompt(1))
        projector = flops(.project, .prompt(1))
        prefillVision = visionTokens > 0 ? flops(.step, .prompt(visionTokens, vision: visionTokens)) : 0
        prefillText = flops(.step, .prompt(visionTokens + textTokens, vision: visionTokens)) - prefillVision
        decode = flops(.step, .token(behind: visionTokens + textTokens))
    }

    var stages: [(name: String, flops: Int)] {
        (visionTokens == 0
            ? [] : [("vision tower", vision), ("projector", projector), ("prefill of \(visionTokens) vision tokens", prefillVision)])
            + [("prefill of \(textTokens) text tokens", prefillText), ("decode, one token", decode)]
    }
}

/// What a box does with one precision.
struct BoxEstimate {
    let sizes: PrecisionSizes
    let context: Int
    /// Nil where no memory is named
    var fits: Bool?
    /// The most positions that fit, where the context does not but something does
    var largestContext: Int?
    var timeToFirstToken: Double?
    var tokensPerSecond: Double?

    /// Each stage takes as long as the slower of its arithmetic and its reading of weights and cache; they follow each other.
    init(_ box: Box, _ sizes: PrecisionSizes, _ costs: StageCosts, context: Int, chunk: Int) {
        (self.sizes, self.context) = (sizes, context)
        if let memory = box.memory {
            fits = sizes.total(context: context) <= memory
            // Each position adds its keys and values and what it touches of the table.
            var (least, most) = (0, context)
            while fits == false, most - least > 1 {
                let middle = (least + most) / 2
                if sizes.total(context: middle) <= memory { least = middle } else { most = middle }
            }
            if least > 0 { largestContext = least }
        }
        guard let bandwidth = box.bandwidth, let compute = box.compute else { return }
        func seconds(_ flops: Double, _ bytes: Double) -> Double { max(flops / compute, bytes / bandwidth) }
        let prompt = costs.visionTokens + costs.textTokens
        let chunks = (prompt + chunk - 1) / chunk
        let cache = Double(prompt) * Double(sizes.cacheBytesPerPosition)
        func read(_ entry: EntryPoint) -> Double { Double(sizes.readBytes[entry] ?? 0) }
        var first = seconds(Double(costs.prefillVision) + Double(costs.prefillText), Double(chunks) * read(.step) + cache)
        if costs.visionTokens > 0 {
            first += seconds(Double(costs.vision), read(.vision)) + seconds(Double(costs.projector), read(.project))
        }
        timeToFirstToken = first
        tokensPerSecond = 1 / seconds(Double(costs.decode), read(.step) + cache)
    }
}
