import Foundation
import RuntimeSources
import TestSupport
import Testing

/// `compile --serve`, and a compiled program that serves; what it serves is tested in Tests/Runtime/serve.
@Suite struct ServeTests {
    @Test func answersAsTheCommandLine() throws {
        let scratch = try Scratch()
        let program = scratch["program"]
        try #require(try lmmc("compile", "\(goldens)/llava-mlp", "-o", program, "--quiet").status == 0)
        let client = """
            "$0" --serve 127.0.0.1:0 --max-tokens 12 2>"$1/said" & server=$!
            for i in $(seq 200); do grep -q listening "$1/said" && break; sleep 0.05; done
            python3 - "$(sed -n 's/^listening on //p' "$1/said")" "$2" <<'END'
            from base64 import b64encode
            from json import dumps, load
            from sys import argv
            from urllib.request import Request, urlopen
            picture = b64encode(open(argv[2], "rb").read()).decode()
            content = [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + picture}}, {"type": "text", "text": "What is it?"}]
            body = dumps({"messages": [{"role": "user", "content": content}]}).encode()
            request = Request(argv[1] + "/v1/chat/completions", body, {"Content-Type": "application/json"})
            print(load(urlopen(request))["choices"][0]["message"]["content"])
            END
            cat "$1/said" >&2; kill $server; wait $server
            """
        let picture = "\(goldens)/images/square.png"
        let served = try run(["/bin/bash", "-c", client, program, scratch.path, picture])
        let told = try run([program, "--image", picture, "--prompt", "What is it?", "--max-tokens", "12"])
        #expect(served.status == 0 && told.status == 0 && served.output == told.output && !told.output.isEmpty, "\(served), \(told)")
    }

    @Test func isLeftOut() throws {
        let scratch = try Scratch()
        try #require(try lmmc("compile", "\(goldens)/decoder-tied", "-o", scratch["program"], "--quiet", "--serve", "no").status == 0)
        let result = try run([scratch["program"], "--serve"])
        #expect(result.status == 2 && result.errors == "error: this program was compiled without the server\n", "\(result.errors)")
        let wrong = try lmmc("compile", "\(goldens)/decoder-tied", "-o", scratch["program"], "--serve", "perhaps")
        #expect(wrong.status == 2 && wrong.errors.contains("'--serve'") && wrong.errors.contains("'yes'"), "\(wrong.errors)")
    }

    /// What stays includes nothing of what goes, which objects that were compiled before would hide.
    @Test func nothingNeedsIt() {
        let server = Set(RuntimeFile.all.filter(\.serves).map(\.path))
        #expect(server.count > 20)
        for file in RuntimeFile.all where !file.serves && !file.isPackager {
            let folder = file.path.split(separator: "/").dropLast().joined(separator: "/")
            for line in file.text.split(separator: "\n") where line.hasPrefix("#include \"") {
                let name = String(line.dropFirst("#include \"".count).prefix { $0 != "\"" })
                #expect(!server.contains(name) && !server.contains("\(folder)/\(name)"), "\(file.path) includes \(name)")
            }
        }
    }
}
