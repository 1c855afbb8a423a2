#pragma once
// The tokenizer and chat template of an engine that has neither weights nor a model folder.
#include "octavo/status.h"

#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace octavo::api {

// Every byte is a token, and there are <|im_start|> and <|im_end|>, which is the end of text.
Result<text::Tokenizer> make_byte_tokenizer();
// The last message's content alone: what the echo answers.
Result<text::ChatTemplate> make_echo_template();

}  // namespace octavo::api
