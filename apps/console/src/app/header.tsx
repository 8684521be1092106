import { useState } from 'preact/hooks'
import { useConsole } from './state.ts'

type Theme = 'system' | 'light' | 'dark'
const next: Readonly<Record<Theme, Theme>> = { system: 'light', light: 'dark', dark: 'system' }
const stored = (): Theme => {
  const theme = localStorage.getItem('theme')
  return theme === 'light' || theme === 'dark' ? theme : 'system'
}
const apply = (theme: Theme): void => {
  document.documentElement.style.colorScheme = theme === 'system' ? 'light dark' : theme
  localStorage.setItem('theme', theme)
}
apply(stored())

const ThemeButton = () => {
  const [theme, setTheme] = useState(stored())
  const change = (): void => {
    apply(next[theme])
    setTheme(next[theme])
  }
  return (
    <button class="quiet" onClick={change} aria-label={`Colours: ${theme}. Change to ${next[theme]}`}>
      {theme === 'system' ? '◐' : theme === 'light' ? '☀' : '☾'}
    </button>
  )
}

export const Header = ({ route }: { readonly route: string }) => {
  const { live } = useConsole()
  const current = (name: string) => (route === name ? ({ 'aria-current': 'page' } as const) : {})
  return (
    <header>
      <a class="brand" href="#/">
        <img src="icon.svg" alt="" width="26" height="26" /> Ecosystem
      </a>
      <nav aria-label="Pages">
        <a href="#/" {...current('')}>
          Overview
        </a>
        <a href="#/pipelines" {...current('pipelines')}>
          Pipelines
        </a>
        <a href="#/data" {...current('data')}>
          Data
        </a>
      </nav>
      <span class={`live ${live ? 'on' : 'off'}`} role="status">
        {live ? 'live' : 'reconnecting'}
      </span>
      <ThemeButton />
    </header>
  )
}
