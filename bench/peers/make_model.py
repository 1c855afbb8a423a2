"""Random weights in a shape, for a peer and without a network:
    octavo bench --synthetic qwen3-0.6b --print-config > config.json
    make_model.py gguf config.json model.gguf         llama.cpp, Q8_0 throughout
    make_model.py openvino config.json FOLDER         OpenVINO, int8 weights with a scale per channel
    make_model.py ctranslate2 config.json FOLDER      CTranslate2, the same"""
import json
import pathlib
import sys


def make_gguf(config, target):
    import gguf
    import numpy

    random = numpy.random.default_rng(1)
    writer = gguf.GGUFWriter(target, "qwen3")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")

    def add_matrix(name, n, k):
        # Q8_0: a float16 scale and 32 codes.
        blocks = numpy.empty((n, k // 32, 34), dtype=numpy.uint8)
        scale = numpy.float16(1 / (74 * k**0.5))
        blocks[:, :, :2] = numpy.frombuffer(scale.tobytes(), dtype=numpy.uint8)
        blocks[:, :, 2:] = random.integers(0, 256, (n, k // 32, 32), dtype=numpy.uint8)
        writer.add_tensor(name, blocks.reshape(n, k // 32 * 34), raw_dtype=gguf.GGMLQuantizationType.Q8_0)

    def add_norm(name, n):
        writer.add_tensor(name, numpy.ones(n, dtype=numpy.float32))

    d_model, d_ff = config["hidden_size"], config["intermediate_size"]
    q = config["num_attention_heads"] * config["head_dim"]
    kv = config["num_key_value_heads"] * config["head_dim"]
    add_matrix("token_embd.weight", config["vocab_size"], d_model)
    if not config["tie_word_embeddings"]:
        add_matrix("output.weight", config["vocab_size"], d_model)
    add_norm("output_norm.weight", d_model)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"blk.{layer}."
        for name, n, k in (("attn_q", q, d_model), ("attn_k", kv, d_model), ("attn_v", kv, d_model),
                           ("attn_output", d_model, q), ("ffn_gate", d_ff, d_model), ("ffn_up", d_ff, d_model),
                           ("ffn_down", d_model, d_ff)):
            add_matrix(f"{prefix}{name}.weight", n, k)
        for name, n in (("attn_norm", d_model), ("ffn_norm", d_model), ("attn_q_norm", config["head_dim"]),
                        ("attn_k_norm", config["head_dim"])):
            add_norm(f"{prefix}{name}.weight", n)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def random_qwen3(config):
    import torch
    import transformers

    torch.manual_seed(1)
    names = {k: v for k, v in config.items() if k not in ("architectures", "model_type", "torch_dtype")}
    return transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**names)).to(torch.bfloat16)


def make_openvino(config, target):
    from optimum.intel import OVModelForCausalLM, OVWeightQuantizationConfig

    folder = pathlib.Path(target)
    source = folder / "source"
    random_qwen3(config).save_pretrained(source)
    exported = OVModelForCausalLM.from_pretrained(
        source, export=True, compile=False, quantization_config=OVWeightQuantizationConfig(bits=8, sym=True))
    exported.save_pretrained(folder)


def make_ctranslate2(config, target):
    """Through its loader for Qwen3 alone: the converter around it opens a tokenizer, which random weights have not."""
    import torch
    from ctranslate2.converters import transformers as converters

    loader = converters.Qwen3Loader()
    with torch.no_grad():
        spec = loader.get_model_spec(random_qwen3(config).to(torch.float32))
    spec.register_vocabulary([f"t{i}" for i in range(config["vocab_size"])])  # ctranslate2_peer.py's words
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = "t0"
    spec.config.layer_norm_epsilon = config["rms_norm_eps"]
    spec.validate()
    spec.optimize(quantization="int8")
    folder = pathlib.Path(target)
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))


MAKERS = {"gguf": make_gguf, "openvino": make_openvino, "ctranslate2": make_ctranslate2}

if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in MAKERS:
        sys.exit(__doc__)
    with open(sys.argv[2], encoding="utf-8") as file:
        shape = json.load(file)
    MAKERS[sys.argv[1]](shape, sys.argv[3])
