import Testing

@testable import Passes

@Test func foldEmbeddingCases() throws { try checkCases(Pipeline.foldEmbedding) }
