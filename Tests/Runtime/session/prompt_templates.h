// The conversation templates by the words of LLaVA's own code; the compiler's are Sources/ChatTemplate/PromptTemplate.swift.
#ifndef PROMPT_TEMPLATES_H
#define PROMPT_TEMPLATES_H

#define TEMPLATE(before_text, after_text, ...) \
  { .alone = before_text, .before = before_text, .image = "<image>\n", .between = "", .after = after_text, __VA_ARGS__ }
#define TEMPLATE_VICUNA(who, whose)                                                                                    \
  TEMPLATE("A chat between a curious " who                                                                             \
           " and an artificial intelligence assistant. The assistant gives helpful, "                                  \
           "detailed, and polite answers to the " whose " questions. USER: ",                                          \
           " ASSISTANT:", .before_answer = " ", .next = "</s>USER: ", .next_before = "</s>USER: ", .system_start = "", \
           .system_alone = " USER: ", .system_before = " USER: ")
#define TEMPLATE_NONE TEMPLATE("", "", .cuts_end = false)
#define TEMPLATE_VICUNA_V1 TEMPLATE_VICUNA("user", "user's")
#define TEMPLATE_LLAVA_V1 TEMPLATE_VICUNA("human", "human's")
#define TEMPLATE_LLAMA_3                                                                                             \
  TEMPLATE(                                                                                                          \
      "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nYou are a helpful language and vision "        \
      "assistant. You are able to understand the visual content that the user provides, and assist the user with a " \
      "variety of tasks using natural language.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n",              \
      "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n", .before_answer = "",                            \
      .next = "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n",                                              \
      .next_before = "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n")
#define TEMPLATE_VOCO                                                                                              \
  {                                                                                                                \
    .alone = VOCO_CONVERSATION, .before = "", .image = "<image>\n", .between = "<voco><voco>\n" VOCO_CONVERSATION, \
    .after = " ASSISTANT:", .flattens_words = true                                                                 \
  }
#define VOCO_CONVERSATION                                                                                     \
  "A chat between a curious user and an artificial intelligence assistant of the image. The assistant gives " \
  "helpful, detailed, and polite answers to the user's questions. USER: "

#endif
