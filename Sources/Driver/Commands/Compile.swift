import Passes
import Support
import Toolchain
import Work

/// What the value of `--emit` asks for.
public enum EmitChoice: String, Sendable, CaseIterable {
    case executable
    /// A folder of sources, weights and a build script
    case c
}

/// What the value of an option is that says whether something is done.
public enum YesOrNo: String, Sendable, CaseIterable { case yes, no }

public struct CompileOptions: Sendable {
    public var model: ModelOptions
    public var output: String
    public var emit: EmitChoice
    public var cc: String?
    /// nil: static where the compiler can
    public var link: LinkChoice?
    public var dumpIR: String?
    public var passes: PassOptions
    /// Whether the rows of what every prompt begins with are computed
    public var foldsPrefix: Bool
    /// Whether the program has `--serve`
    public var serves: Bool
    public var jobs: Int?
    public var verbosity: Verbosity

    public init(
        model: ModelOptions, output: String, emit: EmitChoice = .executable, cc: String? = nil, link: LinkChoice? = nil,
        dumpIR: String? = nil,
        passes: PassOptions = PassOptions(), foldsPrefix: Bool = true, serves: Bool = true, jobs: Int? = nil, verbosity: Verbosity = .normal
    ) {
        self.model = model
        self.output = output
        self.emit = emit
        self.cc = cc
        self.link = link
        self.dumpIR = dumpIR
        self.passes = passes
        (self.foldsPrefix, self.serves) = (foldsPrefix, serves)
        self.jobs = jobs
        self.verbosity = verbosity
    }
}

extension Lmmc {
    /// `lmmc compile`: a checkpoint folder becomes an executable, or with `emit` c a folder of sources. The output appears whole or not at all.
    public static func compile(_ options: CompileOptions) throws(Diagnostic) {
        let precision = options.model.precision
        if options.model.calibration != nil, !precision.roundsRows {
            throw .usage(
                "a calibration is of no use with precision \(quoted(precision.base.rawValue))", at: .option("--calibration"),
                expected: "'--precision int8' or 'int4' beside it")
        }
        if options.model.calibration != nil, options.passes.disabled.contains("split-norm-scale") {
            throw .usage("a calibration is of no use without pass 'split-norm-scale'", at: .option("--calibration"), expected: "the pass")
        }
        if options.emit == .c,
            let option = [("--cc", options.cc != nil), ("--link", options.link != nil), ("--jobs", options.jobs != nil)].first(where: \.1)
        {
            throw .usage(
                "nothing is compiled with '--emit c'", at: .option(option.0), expected: "'CC' in the environment of its 'build.sh'")
        }
        if let jobs = options.jobs, jobs < 1 {
            throw .usage("\(jobs) jobs are too few", at: .option("--jobs"), expected: "at least 1")
        }
        _ = try options.passes.chosen(from: Pipeline.passes(for: options.model.precision))
        try checkOutput(options.output, isFolder: options.emit == .c)
        let progress = Progress(options.verbosity)
        let began = monotonicSeconds()
        let compilation = try Compilation(options, progress)
        switch options.emit {
        case .executable: try compilation.makeExecutable()
        case .c: try compilation.makeSources()
        }
        if options.verbosity != .quiet {
            writeStandardError(
                "\(padded("done", 10)) \(padded(secondsText(monotonicSeconds() - began), 8, right: true))  \(escapingControls(options.output))\n"
            )
        }
    }
}
