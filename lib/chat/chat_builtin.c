/* chat_builtin.c - templates by name, for models whose file has none and for those who know better. They run in the
 * same interpreter as a file's template. None puts in a system text of its own, and none checks the order of the roles.
 * A tool's message is a user's turn where the family has no role for it. Where a family has no system role, the first
 * message's text goes in front of the user's. */
#include "chat/chat_priv.h"

#include <string.h>

/* Sets `system` (with what the family puts after it still to come) and `turns`. */
#define SYSTEM_FIRST                                                                                                   \
    "{%- set system = '' -%}{%- set turns = messages -%}"                                                              \
    "{%- if messages and messages[0].role == 'system' and messages | length > 1 and messages[1].role == 'user' -%}"    \
    "{%- set system = messages[0].content | trim -%}{%- set turns = messages[1:] -%}"                                  \
    "{%- endif -%}"

static const struct {
    const char *name, *source;
} builtin[] = {
    /* SmolLM, SmolLM2, Qwen 1 to 2.5, Yi, Hermes, OLMo 2 fine-tunes, and most small models of 2024 and later */
    {"chatml", "{%- for message in messages -%}"
               "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
               "{%- endfor -%}"
               "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"},
    /* Qwen 3: chatml, where the thinking of earlier answers is not shown again */
    {"qwen3", "{%- for message in messages -%}"
              "{%- set content = message.content -%}"
              "{%- if message.role == 'assistant' and '</think>' in content and not loop.last -%}"
              "{%- set content = content.split('</think>')[-1].lstrip('\\n') -%}"
              "{%- endif -%}"
              "{{ '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}"
              "{%- endfor -%}"
              "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"},
    /* Llama 2 chat, Code Llama instruct */
    {"llama2", SYSTEM_FIRST "{%- for message in turns -%}"
                            "{%- if message.role == 'assistant' -%}"
                            "{{ ' ' + message.content | trim + ' ' + eos_token }}"
                            "{%- else -%}"
                            "{%- set content = message.content | trim -%}"
                            "{%- if loop.first and system -%}"
                            "{%- set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + content -%}"
                            "{%- endif -%}"
                            "{{ bos_token + '[INST] ' + content + ' [/INST]' }}"
                            "{%- endif -%}"
                            "{%- endfor -%}"},
    /* Llama 3, 3.1, 3.2, 3.3 instruct */
    {"llama3", "{{- bos_token -}}"
               "{%- for message in messages -%}"
               "{{ '<|start_header_id|>' + ('ipython' if message.role == 'tool' else message.role) + "
               "'<|end_header_id|>\\n\\n' + message.content | trim + '<|eot_id|>' }}"
               "{%- endfor -%}"
               "{%- if add_generation_prompt -%}"
               "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}"
               "{%- endif -%}"},
    /* Mistral 7B instruct v0.1 to v0.3, Mixtral, Mistral Nemo; the spaces are those of v0.3 */
    {"mistral", "{{- bos_token -}}" SYSTEM_FIRST "{%- for message in turns -%}"
                "{%- if message.role == 'assistant' -%}"
                "{{ ' ' + message.content | trim + eos_token }}"
                "{%- else -%}"
                "{{ '[INST] ' + (system + '\\n\\n' if loop.first and system else '') + message.content + '[/INST]' }}"
                "{%- endif -%}"
                "{%- endfor -%}"},
    /* Mistral Small 3 and Mistral Large 2411 and later: a place for the system text, no spaces (tokenizer v7) */
    {"mistral-v7", "{{- bos_token -}}"
                   "{%- for message in messages -%}"
                   "{%- if message.role == 'system' -%}"
                   "{{ '[SYSTEM_PROMPT]' + message.content + '[/SYSTEM_PROMPT]' }}"
                   "{%- elif message.role == 'assistant' -%}"
                   "{{ message.content + eos_token }}"
                   "{%- else -%}"
                   "{{ '[INST]' + message.content + '[/INST]' }}"
                   "{%- endif -%}"
                   "{%- endfor -%}"},
    /* Gemma 1, 2, 3 instruct */
    {"gemma", "{{- bos_token -}}" SYSTEM_FIRST "{%- for message in turns -%}"
              "{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else 'user') + '\\n' + "
              "(system + '\\n\\n' if loop.first and system else '') + message.content | trim + '<end_of_turn>\\n' }}"
              "{%- endfor -%}"
              "{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}"},
    /* Phi 3 and 3.5 mini and medium */
    {"phi3",
     "{%- for message in messages -%}"
     "{{ '<|' + ('user' if message.role == 'tool' else message.role) + '|>\\n' + message.content + '<|end|>\\n' }}"
     "{%- endfor -%}"
     "{%- if add_generation_prompt -%}{{ '<|assistant|>\\n' }}{%- endif -%}"},
    /* Phi 4 */
    {"phi4", "{%- for message in messages -%}"
             "{{ '<|im_start|>' + message.role + '<|im_sep|>' + message.content + '<|im_end|>' }}"
             "{%- endfor -%}"
             "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant<|im_sep|>' }}{%- endif -%}"},
    /* Zephyr, TinyLlama chat, StableLM Zephyr */
    {"zephyr",
     "{%- for message in messages -%}"
     "{{ '<|' + ('user' if message.role == 'tool' else message.role) + '|>\\n' + message.content + eos_token + "
     "'\\n' }}"
     "{%- endfor -%}"
     "{%- if add_generation_prompt -%}{{ '<|assistant|>\\n' }}{%- endif -%}"},
    /* Vicuna 1.1 and later, and many tunes of Llama 1 */
    {"vicuna", SYSTEM_FIRST "{{- bos_token -}}"
                            "{%- if system -%}{{ system + '\\n\\n' }}{%- endif -%}"
                            "{%- for message in turns -%}"
                            "{%- if message.role == 'assistant' -%}"
                            "{{ 'ASSISTANT: ' + message.content + eos_token + '\\n' }}"
                            "{%- else -%}"
                            "{{ 'USER: ' + message.content + '\\n' }}"
                            "{%- endif -%}"
                            "{%- endfor -%}"
                            "{%- if add_generation_prompt -%}{{ 'ASSISTANT:' }}{%- endif -%}"},
    /* Alpaca and the instruction tunes of 2023 that copied it */
    {"alpaca", SYSTEM_FIRST "{%- if system -%}{{ system + '\\n\\n' }}{%- endif -%}"
                            "{%- for message in turns -%}"
                            "{%- if message.role == 'assistant' -%}"
                            "{{ '### Response:\\n' + message.content + '\\n\\n' }}"
                            "{%- else -%}"
                            "{{ '### Instruction:\\n' + message.content + '\\n\\n' }}"
                            "{%- endif -%}"
                            "{%- endfor -%}"
                            "{%- if add_generation_prompt -%}{{ '### Response:\\n' }}{%- endif -%}"},
    /* Base models, which were never taught a format */
    {"plain",
     SYSTEM_FIRST "{%- if system -%}{{ system + '\\n\\n' }}{%- endif -%}"
                  "{%- for message in turns -%}"
                  "{{ ('Assistant: ' if message.role == 'assistant' else 'User: ') + message.content + '\\n' }}"
                  "{%- endfor -%}"
                  "{%- if add_generation_prompt -%}{{ 'Assistant:' }}{%- endif -%}"},
};

const char *om_chat_builtin_source(const char *name)
{
    for (size_t i = 0; i < sizeof builtin / sizeof *builtin; i++)
        if (strcmp(builtin[i].name, name) == 0)
            return builtin[i].source;
    return NULL;
}

const char *om_chat_builtin_name(size_t i)
{
    return i < sizeof builtin / sizeof *builtin ? builtin[i].name : NULL;
}
