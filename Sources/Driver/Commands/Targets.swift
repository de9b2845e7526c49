import Support
import Toolchain
import Work

extension Lmmc {
    /// `lmmc targets`: what code can be made for, and what this machine is.
    public static func targets() throws(Diagnostic) {
        let host = HostCPU.current
        var text = ""
        for architecture in Target.Architecture.allCases {
            let levels = Target.every(architecture).levels.map(\.name).joined(separator: ", ")
            let isDefault = architecture.rawValue == Target.defaultName
            text += "\(padded(architecture.rawValue, 9)) levels \(levels) in one file\(isDefault ? "; the default" : "")\n"
        }
        text += "\(padded("native", 9)) this CPU's level only (\(host.architecture))\n\n"
        text += "this machine: \(host.architecture), \(host.name), \(host.count) CPUs to use\n"
        if !host.features.isEmpty { text += "features: \(host.features.joined(separator: " "))\n" }
        try writeStandardOutput(text)
    }
}
