/**
 * What a chat template can do, by llama.cpp's names. llama.cpp renders samples and examines the output; we search the
 * text, which gives the same result for the templates in use.
 */
export function templateCapabilities(template: string): Record<string, boolean> {
  const has = (pattern: RegExp) => pattern.test(template);
  const calls = has(/\btool_calls\b/);
  return {
    supports_object_arguments: calls && has(/arguments\s*(\||\.items\b|is (not )?(string|mapping))/),
    supports_parallel_tool_calls: calls && has(/\bfor\s+\w+\s+in\s+[\w.[\]'"]*\btool_calls\b/),
    supports_preserve_reasoning: has(/\breasoning_content\b/),
    supports_reasoning_effort: has(/\breasoning_effort\b/),
    supports_string_content: true,
    // A template that names no role accepts any; one that names roles but not "system" refuses or drops it.
    supports_system_role: !has(/['"]user['"]/) || has(/['"]system['"]/),
    supports_tool_calls: calls,
    supports_tools: has(/\btools\b/),
    supports_typed_content: has(/\.type\s*==|\[['"]type['"]\]\s*==/),
  };
}
