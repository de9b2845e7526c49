import Plan

/// A C source file of the emitted program.
public struct EmittedFile: Hashable, Sendable {
    public var name: String
    public var text: String

    public init(name: String, text: String) {
        self.name = name
        self.text = text
    }
}

/// The C text of a plan: one file, `model.c`, which includes `lmmc.h` and `kernels/kernels.h` of Runtime/ and defines `lmmc_program`.
public func emitProgram(_ plan: Plan, _ program: ProgramDescription) -> [EmittedFile] {
    []
}
